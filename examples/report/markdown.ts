/**
 * Markdown from text that is not trusted: names and sentences of documents. Pure.
 *
 * What comes out shows the text as it is in CommonMark and GitHub's Markdown and holds no HTML: every sign that means
 * something is escaped, control characters are shown or left out, and nothing ends a line, a cell or a link early.
 */

const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
const INVISIBLE = /[\u00ad\u200b\u2060\ufeff]/g

const codePoint = (char: string): string =>
  `⟨U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`

/** Control characters of ASCII as their pictures (a line feed becomes ␊), the others as U+FFFD. */
const picture = (char: string): string => {
  const code = char.charCodeAt(0)
  if (code < 0x20) return String.fromCharCode(0x2400 + code)
  return code === 0x7f ? '␡' : '\uFFFD'
}

/** A name on one line with nothing hidden: what would reorder or hide signs is spelled out. */
const visible = (name: string): string =>
  name
    .toWellFormed()
    .replace(/\p{Cc}/gu, picture)
    .replace(/[\u2028\u2029]/g, codePoint)
    .replace(BIDI, codePoint)
    .replace(INVISIBLE, codePoint)

/** A sentence on one line: white space becomes a space, other control characters and direction marks go. */
const clean = (text: string): string =>
  text
    .toWellFormed()
    .replace(/\s+/g, ' ')
    .replace(/\p{Cc}/gu, '')
    .replace(BIDI, '')
    .trim()

const ENTITY: Record<string, string> = { '<': '&lt;', '>': '&gt;', '&': '&amp;' }

const escapeSigns = (text: string): string =>
  text
    .replace(/[\\`*[\]|~$]/g, '\\$&')
    .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\_')
    .replace(/[<>&]/g, (sign) => ENTITY[sign] ?? sign)
    .replace(/^(\s*)([#+\-=:])/, '$1\\$2')
    .replace(/^(\s*\d{1,9})([.)])/, '$1\\$2')

/** A sentence, a keyword, a heading out of a document. */
export const prose = (text: string): string => escapeSigns(clean(text))

/** A file name, an agent's name. */
export const name = (text: string): string =>
  escapeSigns(visible(text).trim() === '' ? `"${visible(text)}"` : visible(text))

/** A relative address: every sign that is not plain is percent-encoded. */
export const href = (path: string): string =>
  path
    .split('/')
    .map((part) =>
      encodeURIComponent(part.toWellFormed()).replace(
        /[!'()*~]/g,
        (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    )
    .join('/')

export const link = (label: string, target: string): string => `[${label}](${target})`

/** A place that `link(label, '#id')` leads to, in every Markdown reader. */
export const anchor = (id: string): string => `<a id="${id}"></a>`

export type Align = 'left' | 'right'

/** A table; the cells must be escaped already. No rows, no table. */
export const table = (header: [string, Align][], rows: string[][]): string => {
  if (rows.length === 0) return ''
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(header.map(([title]) => title)),
    line(header.map(([, align]) => (align === 'right' ? '---:' : '---'))),
    ...rows.map(line),
  ].join('\n')
}

const NUMBER = new Intl.NumberFormat('en-US')

/** 12,345 */
export const number = (value: number): string => NUMBER.format(value)

/** 1 document, 2 documents */
export const plural = (count: number, singular: string, many = `${singular}s`): string =>
  `${number(count)} ${count === 1 ? singular : many}`

/** 512 B, 12.3 kB, 4.2 MB */
export const size = (bytes: number): string => {
  if (bytes < 1000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes / 1000
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value.toFixed(value < 99.95 ? 1 : 0)} ${units[unit] ?? 'TB'}`
}

/** 850 ms, 12.3 s, 2 min 5 s */
export const duration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
