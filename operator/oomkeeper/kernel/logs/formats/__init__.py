"""Log formats: one module per format, each with `parse_...(line) -> Frame | None` or a reader of entries.

    dmesg               printk's stamp, dmesg -x, -T, -d, -e, --time-format iso; vendors' stamps
    kmsg_text           /dev/kmsg saved as text
    syslog              rsyslog, busybox, OpenWrt, RFC 3164 and 5424, journalctl -o short*
    euleros, talos      Huawei Cloud EulerOS; Talos Linux
    logcat              Android
    journal_json        journalctl -o json, json-pretty, json-sse, json-seq
    dmesg_json          dmesg --json
    journal_export      journalctl -o export
    journal_verbose     journalctl -o verbose
    other_programs      what shows that a line comes from another program

`detect` finds the format of a line. To add a format: add its module, and call it in `detect`.
"""
