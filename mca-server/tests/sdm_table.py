# SPDX-License-Identifier: BSD-2-Clause
"""The classification of machine-check records, written as rows from the manuals and apart from the C code.

Sources: SDM volume 3 section 15.6 (table of error classes and of overwrite rules), examples 15-4 (machine-check
handler) and 15-5 (corrected-error handler), section 15.9 (codes of SRAO and SRAR); for AMD the order in which the
APM lets software look at PCC, Deferred, UC, Overflow; where these leave room, the project's decisions: no SER_P
makes every UC fatal; PCC with EN=0 is only logged; S=0 with AR=1 resets; a corrected error with PCC is fatal; an
SRAR seen by a CPU with RIPV=1 EIPV=0 is not that CPU's.

A row is a text of columns; the first row that matches wins. '.' matches anything.
"""

# path ser over uc en pcc s ar code -> class          (VAL=1; 'code' is o: SRAO's, r: SRAR's, -: another)
INTEL_CLASS = """
.    .  .  0  .  1  .  .  .   FATAL      corrected, yet the context is corrupt: stricter than the SDM
.    .  .  0  .  .  .  .  .   CE
.    0  .  1  .  .  .  .  .   FATAL      no software error recovery: every UC, even with EN=0
mce  1  0  1  0  .  .  .  .   SPURIOUS   example 15-4, before PCC is looked at
.    1  .  1  0  1  .  .  .   LOGONLY    PCC with EN=0
.    1  .  1  1  1  .  .  .   FATAL
mce  1  .  1  .  0  0  0  .   UCNA       example 15-4: left to the corrected-error handler
cmc  1  .  1  .  0  0  0  o   SRAO       an SRAO that is signalled by CMCI (S=0)
cmc  1  .  1  .  0  0  0  .   UCNA
cmc  1  .  1  0  0  .  .  .   SPURIOUS   example 15-5, after UCNA
.    1  .  1  .  0  0  1  .   ILLEGAL
.    1  .  1  .  0  1  0  .   SRAO
.    1  .  1  .  0  1  1  .   SRAR
"""

# path mcip ctx ripv eipv over code addr uc s -> action       for each class
INTEL_ACTION = {
    "CE": """
mce 0 . . . . . . . .   reset      MCIP=0: this was no machine check
.   . . . . . . . . .   log
""",
    "SPURIOUS": """
mce 0 . . . . . . . .   reset
.   . . . . . . . . .   log
""",
    "LOGONLY": """
mce 0 . . . . . . . .   reset
.   . . . . . . . . .   log
""",
    "UCNA": """
mce 0 . . . . . . . .   reset
.   . . . . . . . . .   log
""",
    "ILLEGAL": """
.   . . . . . . . . .   reset
""",
    "FATAL": """
mce . . . . . . . . .   reset
cmc . . . . . . . 0 .   reset      corrected with PCC: nothing else will ever report it
cmc . . . . . . . 1 .   log        the machine-check handler's; never cleared here
""",
    "SRAO": """
mce 0 .      . . . . . . .   reset
mce . kernel 0 . . . . . .   reset            the interrupted kernel cannot be resumed
mce . .      0 . 1 . . . .   reset            OVER=1 is continuable only with RIPV
mce . .      . . 1 . . . .   log              OVER=1: no recovery, continue
mce . .      . . . o y . .   recover-optional
mce . .      . . . . . . .   log              unknown code, or no address: continue
cmc . .      . . . . . . 1   log              the machine-check handler's; never cleared here
cmc . .      . . 1 . . . .   log
cmc . .      . . . o y . .   recover-optional
cmc . .      . . . . . . .   log
""",
    "SRAR": """
cmc . .      . . . . . . .   log
mce 0 .      . . . . . . .   reset
mce . .      . . 1 . . . .   reset            errors were lost
mce . .      1 0 . . . . .   log              this CPU is not the affected one
mce . .      . . . - . . .   reset            unknown code
mce . .      . . . o . . .   reset            a code that is no SRAR's
mce . .      . . . . n . .   reset            no usable address
mce . kernel 0 . . . . . .   reset
mce . .      . . . r y . .   recover
""",
}

# succor deferred over uc pcc -> class
AMD_CLASS = """
. . . . 1   FATAL
. 1 . . .   DEFERRED
. . . 0 .   CE
0 . 1 1 .   FATAL      no overflow recovery
0 . . 1 .   FATAL      no SUCCOR
1 . . 1 .   SRAR
"""

# path mcip ctx ripv addr uc -> action
AMD_ACTION = {
    "FATAL": """
mce . . . . .   reset
cmc . . . . 0   reset
cmc . . . . 1   log
""",
    "DEFERRED": """
mce 0 .      . . .   reset
mce . kernel 0 . .   reset
.   . .      . y .   recover-optional
.   . .      . n .   log
""",
    "CE": """
mce 0 . . . .   reset
.   . . . . .   log
""",
    "SRAR": """
cmc . .      . . .   log
mce 0 .      . . .   reset
mce . .      . n .   reset
mce . kernel 0 . .   reset
mce . .      . y .   recover
""",
}

STATUS = {"VAL": 63, "OVER": 62, "UC": 61, "EN": 60, "MISCV": 59, "ADDRV": 58, "PCC": 57, "S": 56, "AR": 55,
          "DEFERRED": 44, "POISON": 43}
FILTER = 1 << 12           # bit 12 of a compound code: "filtered", not part of the code
SRAO_CODES = set(range(0xC0, 0xD0)) | {0x17A}
SRAR_CODES = {0x134, 0x150}
LSB_MAX = 30               # the project's bound: no more than 1 GiB is retired for one record


def parse(text, columns):
    rows = []
    for line in text.strip().splitlines():
        words = line.split()
        rows.append((tuple(words[:columns]), words[columns]))
    return rows


def first(rows, values):
    for pattern, result in rows:
        if all(p == "." or p == v for p, v in zip(pattern, values)):
            return result
    raise LookupError(f"no row for {values}")


INTEL_CLASS_ROWS = parse(INTEL_CLASS, 9)
INTEL_ACTION_ROWS = {name: parse(text, 10) for name, text in INTEL_ACTION.items()}
AMD_CLASS_ROWS = parse(AMD_CLASS, 5)
AMD_ACTION_ROWS = {name: parse(text, 6) for name, text in AMD_ACTION.items()}


def bit(word, number):
    return str(word >> number & 1)


def expected(vendor, mcg_cap, mcg_status, status, misc, context, path):
    """(class, action) of one record, by the tables above."""
    f = {name: bit(status, number) for name, number in STATUS.items()}
    if f["VAL"] == "0":
        return "NONE", "ignore"
    ripv, eipv, mcip = (bit(mcg_status, n) for n in (0, 1, 2))
    if vendor == "intel":
        code = status & 0xFFFF & ~FILTER
        kind = "o" if code in SRAO_CODES else "r" if code in SRAR_CODES else "-"
        name = first(INTEL_CLASS_ROWS, (path, bit(mcg_cap, 24), f["OVER"], f["UC"], f["EN"], f["PCC"], f["S"],
                                        f["AR"], kind))
        usable = f["ADDRV"] == f["MISCV"] == "1" and misc >> 6 & 7 == 2 and misc & 63 <= LSB_MAX
        return name, first(INTEL_ACTION_ROWS[name], (path, mcip, context, ripv, eipv, f["OVER"], kind,
                                                     "y" if usable else "n", f["UC"], f["S"]))
    succor = "1" if vendor == "amd-succor" else "0"
    name = first(AMD_CLASS_ROWS, (succor, f["DEFERRED"], f["OVER"], f["UC"], f["PCC"]))
    return name, first(AMD_ACTION_ROWS[name], (path, mcip, context, ripv, "y" if f["ADDRV"] == "1" else "n", f["UC"]))
