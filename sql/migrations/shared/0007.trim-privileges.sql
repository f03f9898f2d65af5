-- Takes from the serving role what no statement reads: of the installation and of cursors it sees the columns that it needs.
-- depends: 0006.follow-the-log

SET LOCAL lock_timeout = '4s';

REVOKE SELECT ON app.installation, app.cursors FROM quarry_app;
GRANT SELECT (epoch, shared_number, log_retention) ON app.installation TO quarry_app;
GRANT SELECT (tenant_id, consumer, epoch, number, failures, retry_at, cut_off_at) ON app.cursors TO quarry_app;
