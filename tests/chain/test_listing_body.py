"""Bodies of listings: what is read of them is what boto3 reads, or boto3 reads it."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofs import examples, searching

from fallback_storage.chain.backend import Backend
from fallback_storage.chain.flat_listing import bare_pages
from fallback_storage.chain.listing_body import take_out
from fallback_storage.chain.names import is_name
from fallback_storage.chain.policy import Policy

pytest.importorskip("storages.backends.s3")
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from storages.backends.s3 import S3Storage

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class Raw(io.BytesIO):
    def stream(self, **kwargs):
        yield self.read()


class Canned:
    """A storage whose server answers every listing with one body."""

    def __init__(self):
        config = Config(retries={"total_max_attempts": 1})
        self.storage = S3Storage(
            bucket_name="media", access_key="a", secret_key="b", client_config=config
        )
        self.backend = Backend("s3", lambda: self.storage, Policy(), "backends[0]")
        self.client = self.storage.connection.meta.client
        self.client.meta.events.register("before-send.s3", self.answer)
        self.body = b""

    def answer(self, request, **kwargs):
        return AWSResponse(request.url, 200, {}, Raw(self.body))

    def ours(self):
        try:
            return [
                (each.name, each.size, each.etag, each.date)
                for each in next(bare_pages(self.backend, ""), [])
            ]
        except Exception as error:
            return type(error)

    def boto3s(self):
        try:
            answer = self.client.list_objects_v2(Bucket="media")
            return [
                (
                    each["Key"],
                    each.get("Size"),
                    each.get("ETag", "").strip('"'),
                    second(each.get("LastModified")),
                )
                for each in answer.get("Contents", ())
                if is_name(each["Key"])
            ]
        except Exception as error:
            return type(error)


def second(moment):
    return moment.astimezone(UTC).isoformat()[:19] if moment else ""


@pytest.fixture(scope="module")
def canned():
    found = Canned()
    yield found
    found.client.close()


# Real pages

MD5 = "9dd4e461268c8034f5c8564e155c67a6"
SERVERS = {
    "AWS": f"""{XML}<ListBucketResult {NAMESPACE}><Name>media</Name><Prefix>d/</Prefix>
<KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>
<IsTruncated>true</IsTruncated><NextContinuationToken>1ueG==</NextContinuationToken>
<Contents><Key>d/a+b%2B%C3%A4.jpg</Key><LastModified>2026-10-12T17:50:30.000Z</LastModified>
<ETag>&quot;{MD5}&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
<ChecksumType>FULL_OBJECT</ChecksumType><Size>434234</Size>
<StorageClass>STANDARD</StorageClass></Contents><Contents><Key>d/b</Key>
<LastModified>2026-10-12T17:50:31.000Z</LastModified><ETag>&quot;{MD5}-2&quot;</ETag>
<Size>0</Size><StorageClass>GLACIER</StorageClass></Contents></ListBucketResult>""",
    "MinIO": f"""{XML}<ListBucketResult {NAMESPACE}><Name>media</Name><Prefix></Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents>
<Key>d/b.jpg</Key><LastModified>2026-10-12T17:50:30.123Z</LastModified>
<ETag>&#34;{MD5}&#34;</ETag><Size>11</Size><Owner><ID></ID><DisplayName></DisplayName>
</Owner><StorageClass>STANDARD</StorageClass></Contents>
<EncodingType>url</EncodingType></ListBucketResult>""",
    "Ceph": f"""{XML}<ListBucketResult {NAMESPACE}><Name>media</Name><Prefix/>
<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>d/b.jpg</Key>
<LastModified>2026-10-12T17:50:30.123Z</LastModified><ETag>&quot;{MD5}&quot;</ETag>
<Size>11</Size><StorageClass>STANDARD</StorageClass><Owner><ID>me</ID>
<DisplayName>Me</DisplayName></Owner><Type>Normal</Type></Contents></ListBucketResult>""",
    "Google": f"""{XML.strip()}<ListBucketResult {NAMESPACE}><Name>media</Name><Prefix/>
<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>d/b.jpg</Key>
<Generation>1764280000000000</Generation><MetaGeneration>1</MetaGeneration>
<LastModified>2026-10-12T17:50:30.123Z</LastModified><ETag>"{MD5}"</ETag>
<Size>11</Size></Contents></ListBucketResult>""",
    "SeaweedFS": f"""{XML}<ListBucketResult {NAMESPACE}><Name>media</Name><Prefix></Prefix>
<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>a.txt</Key>
<ETag>&#34;{MD5}&#34;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass>
<LastModified>2026-11-28T11:30:46Z</LastModified></Contents><Contents>
<Key>d/plus%2B+%26%3C%2520.txt</Key><ETag>&#34;{MD5}-1&#34;</ETag><Size>1</Size>
<StorageClass>STANDARD</StorageClass><LastModified>2026-11-28T11:30:46Z</LastModified>
</Contents><NextContinuationToken>d/plus+ &amp;&lt;%20.txt</NextContinuationToken>
<EncodingType>url</EncodingType><KeyCount>2</KeyCount></ListBucketResult>""",
    "moto": f"""{XML.replace("UTF", "utf")}<ListBucketResult {NAMESPACE}>
<IsTruncated>true</IsTruncated><Contents><Key>d/plus%2B%20%26%3C%2520.txt</Key>
<LastModified>2026-11-28T11:31:05.000Z</LastModified><ETag>"{MD5}"</ETag>
<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>1</Size>
<StorageClass>STANDARD</StorageClass></Contents><Name>media</Name><Prefix/>
<MaxKeys>2</MaxKeys><EncodingType>url</EncodingType><KeyCount>2</KeyCount>
<NextContinuationToken>c2580c64</NextContinuationToken></ListBucketResult>""",
}


@pytest.mark.parametrize("server", SERVERS)
def test_pages_of_real_servers_are_read_in_one_pass(server, canned):
    canned.body = SERVERS[server].encode()
    left, written = take_out(canned.body)
    assert len(written) == canned.body.count(b"<Contents>")
    assert b"<Contents>" not in left
    assert canned.ours() == canned.boto3s()
    # As they come over the wire.
    canned.body = re.sub(b">\n<", b"><", canned.body)
    assert take_out(canned.body)[1] == written
    assert canned.ours() == canned.boto3s()


# Any page

PAGE = SERVERS["MinIO"]
OBJECT = f"""<Contents><Key>k</Key><LastModified>2026-10-12T17:50:30Z</LastModified>\
<ETag>"{MD5}"</ETag><Size>1</Size></Contents>"""
ODD = {
    "nothing": "",
    "no listing": f"<Error>{OBJECT}</Error>",
    "an error": "<Error><Code>SlowDown</Code></Error>",
    "no XML": f"{OBJECT}",
    "another namespace": PAGE.replace("2006", "2036"),
    "a prefix": PAGE.replace("<", "<s:").replace("<s:/", "</s:").replace("<s:?", "<?"),
    "an encoding": PAGE.replace("UTF-8", "UTF-16"),
    "an object in a comment": PAGE.replace("<Contents>", f"<!--{OBJECT}--><Contents>"),
    "all in a comment": PAGE.replace("<Name>", "<!--").replace("<Encoding", "--><Encoding"),
    "CDATA": PAGE.replace("d/b.jpg", "<![CDATA[<Contents>]]>"),
    "an instruction": PAGE.replace("<Contents>", f"<?php {OBJECT}?><Contents>"),
    "an entity of its own": PAGE.replace(
        "<ListB", '<!DOCTYPE x [<!ENTITY e "<Name>b</Name>">]><ListB', 1
    ).replace("media", "&e;"),
    "an object in an element": PAGE.replace("</Name>", f"{OBJECT}</Name>"),
    "an object in an object": PAGE.replace("</Contents>", f"{OBJECT}</Contents>"),
    "an object after the end": f"{PAGE}{OBJECT}",
    "two roots": f"{PAGE}{PAGE}",
    "two keys": PAGE.replace("<Key>", "<Key>first</Key><Key>"),
    "two dates": PAGE.replace(
        "</Contents>", "<LastModified>2026-10-12T17:50:31Z</LastModified></Contents>"
    ),
    "no key": PAGE.replace("<Key>d/b.jpg</Key>", ""),
    "an empty key": PAGE.replace("d/b.jpg", ""),
    "no date": re.sub("<LastModified>.*</LastModified>", "", PAGE),
    "a date elsewhere": PAGE.replace("30.123Z", "30+02:00"),
    "no size": PAGE.replace("<Size>11</Size>", ""),
    "no number": PAGE.replace(">11<", ">many<"),
    "a number, for Python": PAGE.replace(">11<", "> +1_1 <"),
    "a weak ETag": PAGE.replace("&#34;", 'W/"', 1),
    "quotes in an ETag": PAGE.replace(MD5, '"x&quot;y"'),
    "no ETag": re.sub("<ETag>.*</ETag>", "", PAGE),
    "an unknown element": PAGE.replace("</Key>", "</Key><Tagging>1</Tagging>"),
    "a restored object": PAGE.replace(
        "</Size>", "</Size><RestoreStatus><RestoreExpiryDate>x</RestoreExpiryDate>"
        "</RestoreStatus>"
    ),
    "a text in place of an object": SERVERS["Ceph"].replace(
        "<Name>", "<Contents>k</Contents><Name>"
    ),
    "the first of two is odd": PAGE.replace(
        "<Contents>", f"{OBJECT.replace('</Key>', '</Key><Tag>1</Tag>')}<Contents>"
    ),
    "the last of two is odd": PAGE.replace(
        "</Contents>", f"</Contents>{OBJECT.replace('</Key>', '</Key><Tag>1</Tag>')}"
    ),
    "an object as an entity": PAGE.replace(
        "<ListB", f"<!DOCTYPE x [<!ENTITY e '&#60;{OBJECT[1:]}'>]><ListB", 1
    ).replace("<Name>", "&e;<Name>"),
    "an attribute": PAGE.replace("<Key>", '<Key a="b">'),
    "an object with an attribute": PAGE.replace("<Contents>", '<Contents a="b">', 1),
    "prefixes": PAGE.replace("<Contents>", "<CommonPrefixes><Prefix>p/</Prefix>"
                             "</CommonPrefixes><Contents>"),
    "an entity in a key": PAGE.replace("d/b", "d&amp;b"),
    "characters in a key": PAGE.replace("d/b", "ä/\u2028"),
    "a key that is not UTF-8": PAGE.replace("d/b", "d\udce4b"),
    "no character": PAGE.replace("d/b", "d\ufffeb"),
    "a carriage return in a key": PAGE.replace("d/b", "d\r\nb"),
    "what XML forbids": PAGE.replace("d/b", "d\x01b"),
    "the end of CDATA in a key": PAGE.replace("d/b", "d]]>b"),
    "not URL-encoded": PAGE.replace("d/b", "d%2Fb+c").replace(">url<", ">none<"),
    "URL-encoded, not UTF-8": PAGE.replace("d/b", "d%E4b"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_read_as_boto3_reads_it(kind, canned):
    canned.body = ODD[kind].encode(errors="surrogateescape")
    assert canned.body != PAGE.encode()
    assert canned.ours() == canned.boto3s()


def test_half_a_page_is_no_page(canned):
    body = PAGE.encode().rstrip()
    for end in range(len(body)):
        assert take_out(body[:end]) == (body[:end], None)


PLAIN = st.text("ab/.+%2; \"'\n", max_size=6)
TEXTS = st.text("ab/.%2& ;<>\"'\n\t\r\x00\x1fäß\ufffe", max_size=6).map(
    lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
)
DATES = st.integers(0, 10**10).map(
    lambda seconds: f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}Z"
)


def element(tag, texts):
    return texts.map(lambda text: f"<{tag}>{text}</{tag}>")


def objects(keys, others, order):
    parts = st.tuples(
        element("Key", keys),
        element("LastModified", DATES),
        element("ETag", st.sampled_from(['"e"', "&quot;e-2&quot;", "&#34;e", "e", ""])),
        st.lists(others, max_size=1).map("".join),
        element("Size", st.integers(0, 10**18 - 1).map(str)),
    ).flatmap(order)
    return st.lists(element("Contents", parts.map("".join)), min_size=1, max_size=3)


def pages(*parts):
    return st.builds(
        "{}<ListBucketResult{}>{}{}{}</ListBucketResult>{}".format,
        *(part if i == 1 else part.map("".join) for i, part in enumerate(parts)),
    )


KNOWN = st.one_of(
    element("StorageClass", PLAIN), element("Owner", element("ID", PLAIN))
)
FIRST = st.sampled_from(["<Prefix/>", "<EncodingType>url</EncodingType>", " ", ""])
PAGES_AS_USUAL = pages(
    st.sampled_from([XML, ""]),
    st.sampled_from([f" {NAMESPACE}", ""]),
    FIRST,
    objects(PLAIN, KNOWN, st.just),
    element("Name", PLAIN),
    st.sampled_from(["", "\n"]),
)
ANY_PAGES = pages(
    st.sampled_from([XML, "", XML.replace("UTF-8", "latin-1"), "\ufeff"]),
    st.sampled_from([f" {NAMESPACE}", "", ' xmlns="other"']),
    st.sampled_from(["", "<!--", "<?x", "<![CDATA[", "<Name>", OBJECT]),
    objects(
        TEXTS,
        KNOWN | st.sampled_from(["<Type/>", "<!-- -->", "<New>1</New>", "<Contents>"]),
        lambda parts: st.just(parts) | st.permutations(parts),
    ),
    st.sampled_from(["", "-->", "?>", "]]>", "</Name>", "</ListBucketResult>"]),
    st.sampled_from(["", "\n", OBJECT]),
)


@examples(250)
def test_pages_as_usual_are_read_in_one_pass(canned, examples):
    @searching(examples)
    @given(page=PAGES_AS_USUAL)
    def search(page):
        canned.body = page.encode()
        assert take_out(canned.body)[1] is not None
        assert canned.ours() == canned.boto3s()

    search()


@examples(250)
def test_any_page_is_read_as_boto3_reads_it(canned, examples):
    odd = st.sampled_from(["", "<", "&", ">", "\r", "</Key>", "&quot;", OBJECT])

    @searching(examples)
    @given(page=PAGES_AS_USUAL | ANY_PAGES, odd=odd, at=st.floats(0, 1))
    def search(page, odd, at):
        where = int(at * len(page))
        canned.body = f"{page[:where]}{odd}{page[where:]}".encode()
        assert canned.ours() == canned.boto3s()

    search()


def test_a_date_that_there_is_not_stops_no_listing(canned):
    canned.body = PAGE.replace("2026-10-12", "2026-02-30").encode()
    (page,) = bare_pages(canned.backend, "")
    assert page[0].facts == "11,"
