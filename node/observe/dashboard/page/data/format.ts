/** Figures as people read them. Pure. */

/** Three significant digits at most: 0, 0.42, 3.1, 57, 1.2k, 34M. */
export const count = (value: number): string => {
  const size = Math.abs(value)
  if (size >= 999_500) return `${trim(value / 1e6)}M`
  if (size >= 9_999.5) return `${trim(value / 1e3)}k`
  return trim(value)
}

const trim = (value: number): string => {
  const size = Math.abs(value)
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2
  const text = value.toFixed(digits)
  return digits === 0 ? text : text.replace(/\.?0+$/, '')
}

export const bytes = (value: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = value
  let at = 0
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024
    at += 1
  }
  return `${at === 0 ? Math.round(size) : trim(size)} ${units[at]}`
}

/** Milliseconds as the largest unit that says it best: 0.4 ms, 12 s, 3 min, 5 h, 2 d. */
export const span = (ms: number): string => {
  const size = Math.abs(ms)
  if (size < 1_000) return `${trim(ms)} ms`
  if (size < 9_950) return `${trim(Math.round(ms / 100) / 10)} s`
  if (size < 90_000) return `${Math.round(ms / 1_000)} s`
  if (size < 5_400_000) return `${Math.round(ms / 60_000)} min`
  if (size < 129_600_000) return `${trim(Math.round(ms / 360_000) / 10)} h`
  return `${trim(Math.round(ms / 8_640_000) / 10)} d`
}

export const ago = (at: number, now: number): string =>
  now - at < 1_000 ? 'now' : `${span(Math.max(0, now - at))} ago`

/** A clock that may be the same, within its error, counts as the same. */
export const skew = (ms: number, errorMs = 0): string =>
  Math.abs(ms) <= errorMs ? `±${span(errorMs)}` : `${ms < 0 ? '−' : '+'}${span(Math.abs(ms))}`

const two = (value: number): string => String(value).padStart(2, '0')

/** Time of day, local. */
export const clock = (at: number): string => {
  const date = new Date(at)
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

export const dateTime = (at: number): string => {
  const date = new Date(at)
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`
}

/** The time alone where it is of today. */
export const when = (at: number, now: number): string =>
  dateTime(at).slice(0, 10) === dateTime(now).slice(0, 10) ? clock(at) : dateTime(at)

/** The end of a peer id, by which people tell them apart; all begin alike. */
export const shortId = (id: string): string => (id.length <= 12 ? id : `…${id.slice(-8)}`)

export const nameOr = (name: string, id: string): string => (name === '' ? shortId(id) : name)

export const plural = (amount: number, one: string, more = `${one}s`): string =>
  `${count(amount)} ${amount === 1 ? one : more}`
