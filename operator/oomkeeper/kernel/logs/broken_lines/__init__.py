"""Rejoin the lines of a report that a mailer, pager, terminal, PDF or the kernel itself broke.

line_kinds      how the lines of an OOM report begin and end
broken_line     whether a line continues the line before
join            whether a blank was dropped at the break
run_on          the opposite: several messages that lost the line end between them
pr_cont         pieces of one printk line that became records of their own
"""
