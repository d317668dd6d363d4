"""An FTP server for tests: python ftp_server.py PORT FOLDER PASSWORD."""

from __future__ import annotations

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

PORT, FOLDER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]

authorizer = DummyAuthorizer()
authorizer.add_user("media", PASSWORD, FOLDER, perm="elradfmwMT")
FTPHandler.authorizer = authorizer
# Storages keep their connections; many tests have many of them.
FTPServer.max_cons_per_ip = 0
FTPServer(("127.0.0.1", PORT), FTPHandler).serve_forever()
