/** A history as CSV (RFC 4180): the time a step began, ISO 8601, then each metric; a field is empty where nothing was measured. */
export function historyCsv(history: {
  stepSeconds: number;
  endsAt: string;
  series: Readonly<Record<string, readonly (number | null)[]>>;
}): string {
  const names = Object.keys(history.series);
  const length = history.series[names[0]!]?.length ?? 0;
  const end = Date.parse(history.endsAt);
  const rows = [['time', ...names].join(',')];
  for (let i = 0; i < length; i++) {
    const values = names.map((name) => history.series[name]![i] ?? null);
    if (values.every((value) => value === null)) continue;
    const time = new Date(end - (length - i) * history.stepSeconds * 1000).toISOString();
    rows.push([time, ...values.map((value) => (value === null ? '' : String(Math.round(value * 1e4) / 1e4)))].join(','));
  }
  return `${rows.join('\r\n')}\r\n`;
}
