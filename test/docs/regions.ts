/**
 * Parts of a page that are written from the code: what stands between `<!-- generated: NAME -->` and `<!-- /generated -->`,
 * and the Default cells of tables whose rows name an option. Pure.
 */

const REGION = /^<!-- generated: (\S+) -->\n[\s\S]*?^<!-- \/generated -->$/gm
/** A table of bounds: its second column names options, its third tells their defaults. */
const BOUND_HEAD = '| What | Option | Default |'

/** The names of the regions of a page. */
export const regionsOf = (page: string): string[] => [...page.matchAll(REGION)].map(([, name = '']) => name)

/** @throws Error for a region that nobody writes */
const withRegions = (page: string, textOf: (name: string) => string): string =>
  page.replace(
    REGION,
    (_, name: string) => `<!-- generated: ${name} -->\n\n${textOf(name).trim()}\n\n<!-- /generated -->`,
  )

/** `limits.maxFrameBytes` in these options. */
const figureOf = (path: string, options: unknown): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
      options,
    )

const UNITS: readonly (readonly [factor: number, unit: string])[] = [
  [86_400_000, 'days'],
  [3_600_000, 'hours'],
  [60_000, 'minutes'],
  [1_000, 's'],
]

/** A figure as people read it; the unit is told by the end of the option's name. */
export const written = (path: string, value: number): string => {
  const plain = value.toLocaleString('en-US')
  if (/bytes(persecond)?$/i.test(path)) {
    for (const [factor, unit] of [
      [2 ** 30, 'GiB'],
      [2 ** 20, 'MiB'],
      [1024, 'KiB'],
    ] as const)
      if (value > 0 && value % factor === 0)
        return `${(value / factor).toLocaleString('en-US')} ${unit}${/second$/i.test(path) ? '/s' : ''}`
    return `${plain} B`
  }
  if (!/Ms$/.test(path)) return plain
  const [factor, unit] = UNITS.find(([size]) => value >= size && value % size === 0) ?? [1, 'ms']
  const count = value / factor
  return `${count.toLocaleString('en-US')} ${count === 1 ? unit.replace(/(\w\w)s$/, '$1') : unit}`
}

const defaultsOf = (cell: string, options: unknown): string =>
  [...cell.matchAll(/`([\w.]+)`/g)]
    .map(([, path = '']) => {
      const value = figureOf(path, options)
      if (typeof value !== 'number') throw new Error(`${path} is no option with a figure`)
      return written(path, value)
    })
    .join('; ')

const withDefaults = (page: string, options: unknown): string => {
  let inTable = false
  return page
    .split('\n')
    .map((line) => {
      inTable = line.startsWith(BOUND_HEAD) || (inTable && line.startsWith('|'))
      const cells = line.split(' | ')
      const [, option = '', told] = cells
      if (!inTable || !option.startsWith('`') || told === undefined) return line
      cells[2] = defaultsOf(option, options)
      return cells.join(' | ')
    })
    .join('\n')
}

/** The page as it should be. @throws Error for a region or an option that does not exist */
export const renew = (page: string, textOf: (name: string) => string, options: unknown): string =>
  withDefaults(withRegions(page, textOf), options)
