SET LOCAL lock_timeout = '4s';
REVOKE SELECT (epoch, shared_number, log_retention) ON app.installation FROM quarry_app;
REVOKE SELECT (tenant_id, consumer, epoch, number, failures, retry_at, cut_off_at) ON app.cursors FROM quarry_app;
GRANT SELECT ON app.installation, app.cursors TO quarry_app;
