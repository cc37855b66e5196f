"""Runs `fetchq cluster ...`: the commands that fetch a list in shards, on one machine or on many.

A command of the group is imported when it is called, as those of fetchq are.
"""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["command"]

COMMANDS = {
    "prepare": "Divide a list into shards.",
    "run": "Run the shards, in processes of this machine or on a Dask cluster.",
    "run-shard": "Run one shard, or those of a lane, in this process.",
    "status": "Show how far a job is.",
    "finish": "Write the manifest of a job that is done.",
}


class _Cluster(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"fetchq.cli.cluster_{cmd_name.replace('-', '_')}").command
        command.context_class = self.context_class
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group("cluster", cls=_Cluster, invoke_without_command=True, context_settings={"max_content_width": 110})
@click.pass_context
def command(ctx: click.Context) -> None:
    """Fetch a list in shards: in several processes, on a Dask cluster, in a Slurm array or in Kubernetes jobs.

    A job lies in a folder, or wherever fsspec can write, such as s3://bucket/job. It needs more packages: pip install
    "fetchq[cluster]".

    \b
      fetchq cluster prepare urls.txt job/ --shards 40
      fetchq cluster run job/ --on local:8
      fetchq export job/ -o records.csv
    """
    if ctx.invoked_subcommand is None:
        raise click.UsageError(f"fetchq cluster needs one of its commands: {', '.join(COMMANDS)}")
