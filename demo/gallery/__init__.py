"""A picture gallery, as any project might have one."""
