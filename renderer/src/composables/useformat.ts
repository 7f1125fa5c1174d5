import { useI18n } from 'vue-i18n';

const kibi = 1024;
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes in binary units, at most one decimal: "1.5 GiB". */
export function formatBytes(bytes: number, locale = 'en'): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= kibi && unit < units.length - 1) {
    value /= kibi;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value)} ${units[unit]}`;
}

/** "2:05:09" or "5:09". */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(s / 3600);
  return hours > 0 ? `${hours}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

export function useFormat() {
  const { locale } = useI18n();
  return {
    bytes: (n: number) => formatBytes(n, locale.value),
    memory: (mib: number) => formatBytes(mib * kibi * kibi, locale.value),
    duration: formatDuration,
    number: (n: number) => new Intl.NumberFormat(locale.value).format(n),
    percent: (share: number) => new Intl.NumberFormat(locale.value, { style: 'percent', maximumFractionDigits: 0 }).format(share),
    /** Instructions a second: "62 M". */
    compact: (n: number) => new Intl.NumberFormat(locale.value, { notation: 'compact', maximumFractionDigits: 1 }).format(n),
    dateTime: (iso: string) =>
      iso ? new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso)) : '',
    time: (iso: string) =>
      new Intl.DateTimeFormat(locale.value, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(
        new Date(iso),
      ),
  };
}
