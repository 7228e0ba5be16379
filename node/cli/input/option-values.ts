/** Values of options, from text. */
import { InvalidArgumentError } from 'commander'
import { AMOUNT_NAMES, type Amounts } from '../../../protocols/budget/amounts.ts'
import { usageError } from '../output/exit-codes.ts'

/** @returns a parser for commander: a whole number within the range */
export const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Use a whole number from ${least} to ${most}.`)
  }

/** `['zone=a', 'gpu=2']` */
export const parseLabels = (given: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw usageError(`label ${JSON.stringify(text)} is not usable`, 'write it as name=value')
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )

/** `['cpu=2000', 'robot-arm=1']`, in whole units */
export const parseUnits = (given: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    given.map((text) => {
      const [, name = '', amount = ''] = /^([^=]+)=(\d{1,15})$/.exec(text) ?? []
      if (name === '')
        throw usageError(`${JSON.stringify(text)} is no amount`, 'write it as name=units, such as cpu=2000')
      return [name, Number(amount)]
    }),
  )

/** As in `100 tokens, 2 fanOut`. */
export const amountsText = (amounts: Amounts): string => {
  const named = AMOUNT_NAMES.flatMap((name) => {
    const amount = amounts[name]
    return amount === undefined ? [] : [`${amount} ${name}`]
  })
  return named.length === 0 ? '-' : named.join(', ')
}

export const unitsText = (units: Readonly<Record<string, number>>): string =>
  Object.entries(units)
    .map(([name, amount]) => `${name}=${amount}`)
    .join(' ')

export type SubscribeFrom = 'earliest' | 'latest' | { last: number } | { since: number }

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const MAX_LAST = 1_000_000

/** `earliest`, `latest`, `last:N`, `since:10m`, `since:2026-01-31T12:00:00Z`. @throws MSG001 */
export const parseSubscribeFrom = (text: string, nowMs: number): SubscribeFrom => {
  if (text === 'earliest' || text === 'latest') return text
  const [, count] = /^last:(\d{1,7})$/.exec(text) ?? []
  if (count !== undefined && Number(count) >= 1 && Number(count) <= MAX_LAST) return { last: Number(count) }
  const [, since = ''] = /^since:(.+)$/.exec(text) ?? []
  const [, ago, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(since) ?? []
  if (ago !== undefined) return { since: Math.max(0, nowMs - Number(ago) * UNITS[unit as keyof typeof UNITS]) }
  const at = /^\d{4}-\d\d-\d\d/.test(since) ? Date.parse(since) : Number.NaN
  if (at >= 0) return { since: at }
  throw usageError(
    `${JSON.stringify(text)} is no place to start from`,
    'use earliest, latest, last:N (of each publisher), since:10m or since:2026-01-31T12:00:00Z',
  )
}
