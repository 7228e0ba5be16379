/**
 * The tree against an older commit of it: which way a figure is better, and the floors. Pure.
 *
 * Each ratio is turned so that above 1 the tree is better, below 1 the older commit. They are taken round by round, since
 * both ran within seconds of each other, and their median counts. Tails and shares of an idle processor differ by a
 * factor between two runs of the same code, so that only a gross loss is told by them.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Entry, SUBJECT } from './catalogue.ts'
import { type Floor, judge, pairRounds } from './floors.ts'
import type { Ledger, Row } from './ledger.ts'
import type { Suite } from './suite.ts'

/** What a change may cost. Design document, section 8. */
export const KEPT = 0.97
/** Of tails: half as good. */
export const TAIL_KEPT = 0.5

export type Better = 'more' | 'less' | 'none'

const FAULTS = ['lost', 'doubled']
const LESS = ['ms', 's', 'MiB', '%', 'µs']

/** @returns undefined for what is neither good nor bad, such as how many neighbours a node has */
export const betterOf = ({ metric, unit }: Pick<Row, 'metric' | 'unit'>): Better | undefined => {
  if (FAULTS.includes(metric)) return 'none'
  if (unit.endsWith('/s')) return 'more'
  return LESS.includes(unit.split(/[ /]/)[0] ?? '') ? 'less' : undefined
}

const isTail = ({ metric, unit }: Pick<Row, 'metric' | 'unit'>): boolean =>
  ['p99', 'slowest', 'longest pause'].includes(metric) || unit.startsWith('%')

/** Above 1 the tree is better; of faults, 1 where there are not more of them and 0 where there are. */
export const ratioOf = (better: Better, tree: number, older: number): number => {
  if (better === 'none') return tree <= older ? 1 : 0
  if (tree === older) return 1
  return better === 'more' ? tree / older : older / tree
}

/** One for each figure of the tree that has a better side. */
export const floorsAgainst = (ledger: Ledger, older: string): Floor[] =>
  ledger
    .rows()
    .filter(({ system }) => system === SUBJECT)
    .flatMap((row) => {
      const better = betterOf(row)
      if (better === undefined) return []
      const series = [SUBJECT, older].map((system) => ledger.values(system, row.case, row.metric))
      return judge({
        name: `against ${older}: ${row.case}, ${row.metric}`,
        bound: 'least',
        byRound: pairRounds(series, ([a = Number.NaN, b = Number.NaN]) => ratioOf(better, a, b)),
        floor: isTail(row) ? TAIL_KEPT : KEPT,
        aim: null,
      })
    })

/**
 * The suite, of the tree and of the older commit only, in turns.
 * @param older the name that its rows bear
 * @param root where its files are
 */
export const suiteAgainst = (suite: Suite, older: string, note: string, root: string): Suite => {
  const entry: Entry = { name: older, note, packages: [], peer: false, load: () => import('./systems/parley.ts') }
  const module = pathToFileURL(join(root, 'test/bench/systems/parley.ts')).href
  const beside = suite.beside?.({ name: older, module })
  if (beside !== undefined) return { ...suite, measure: beside, floors: (ledger) => floorsAgainst(ledger, older) }
  return {
    ...suite,
    systems: [SUBJECT, older],
    entries: [entry],
    mirrored: true,
    floors: (ledger) => floorsAgainst(ledger, older),
  }
}
