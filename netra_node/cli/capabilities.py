"""Which of the privileges a command needs its process lacks. Belongs here: reading the kernel's word on it, pure."""

#: Bits of CapEff in proc(5), from linux/capability.h: namespaces, and what is configured inside them.
NEEDED = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}


def missing_capabilities(process_status: str) -> list[str]:
    """Return the names that are needed and not in effect, from the text of /proc/self/status."""
    effective = 0
    for line in process_status.splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.partition(":")[2], 16)
    return [name for name, bit in NEEDED.items() if not effective >> bit & 1]
