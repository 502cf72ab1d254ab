"""Registers our tables and migrations with Piccolo's command line; nothing else imports it."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

APP_CONFIG = AppConfig(
    app_name="taskforge",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=table_finder(["db.tables", "db.work_tables"], exclude_imported=True),
)
