/** What a suite is: systems, one round of one system, and the floors of what was measured. */
import type { Entry } from './catalogue.ts'
import type { Floor } from './floors.ts'
import type { Ledger, Reading } from './ledger.ts'
import type { End } from './processes.ts'

/** Starts one end of the system that is being measured. */
export type StartEnd = (role: string) => End

export interface Suite {
  readonly name: string
  readonly about: string
  /** In the order in which a round runs them. */
  readonly systems: readonly string[]
  /** Of those systems that are not in the catalogue. */
  readonly entries?: readonly Entry[]
  /** What a reader must know about a system's figures in this suite, by system. */
  readonly labels?: ReadonlyMap<string, string>
  /** Systems that cannot be measured yet, with the reason. */
  readonly notYet?: ReadonlyMap<string, string>
  /** True where starting and memory are measured: the ends then run as built JavaScript, as users run the package. */
  readonly built?: boolean
  /** True where the systems of a round measure case by case in turns, every second round in the other order. */
  readonly mirrored?: boolean
  /**
   * One round of one system: starts its ends, measures; whoever calls it ends them.
   * @param pause between two cases, where nothing runs: another system may have its turn until it resolves
   */
  measure(start: StartEnd, pause: () => Promise<void>): Promise<Reading[]>
  /** Where an older tree is measured in the same process: the round that does so, for a module that has its System. */
  readonly beside?: (older: { name: string; module: string }) => Suite['measure']
  floors(ledger: Ledger): Floor[]
}
