// Numbers, durations and times as people read them.

export const count = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-US"));

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size >= 1e6 || (size < 1e-3 && size > 0)) return value.toExponential(2);
  return value.toLocaleString("en-US", { maximumSignificantDigits: Math.max(digits, Math.ceil(Math.log10(size + 1)) + 1) });
}

export const fixed = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toLocaleString("en-US",
  { minimumFractionDigits: digits, maximumFractionDigits: digits }));

export const signed = (value, digits = 1) => (value === null || value === undefined ? "–"
  : `${value > 0 ? "+" : value < 0 ? "−" : "±"}${fixed(Math.abs(value), digits)}`);

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10) return `${fixed(value, 1)} s`;
  if (value < 100) return `${Math.round(value)} s`;
  const minutes = Math.round(value / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function rate(perSecond) {
  if (!perSecond) return "";
  if (perSecond >= 1) return `${fixed(perSecond, 1)}/s`;
  if (perSecond * 60 >= 1) return `${fixed(perSecond * 60, 1)}/min`;
  return `${number(perSecond * 3600, 2)}/h`;
}

export function bytes(value) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]])
    if (value >= size) return `${fixed(value / size, 1)} ${unit}`;
  return `${count(value)} B`;
}

export function when(iso) {
  const time = new Date(iso);
  if (!iso || Number.isNaN(time.getTime())) return "";
  const today = time.toDateString() === new Date().toDateString();
  const clock = time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return today ? clock : `${time.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}, ${clock}`;
}

export function clock(iso) {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString("en-GB");
}

export const pValue = (p) => (p < 0.001 ? "< 0.001" : fixed(p, 3));
