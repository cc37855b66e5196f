"""Writes HTML reports: one file each, which needs no network.

Results of a run    -> run_report: timeline, hosts, rows -> blocks -> page -> FILE.html
a run in a folder   -> stored ---^                            ^
a comparison        -> comparison_page -----------------------+

blocks     what a page is made of: sections, tables and charts
bins       adds up what the workers did when, for the timeline and the charts over time
page       puts them, the scripts, the style and the plotting library (assets/) into one file
view       the report of a run under way (`--report`)
stored     the report of a durable run, from its ledger (`fetchq report DIR`)
meanings   what the parts of the time and the limits mean, in a sentence each
"""
