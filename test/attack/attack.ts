/** What one attack is: who tries what, and by what it is seen whether it succeeded. */
import type { Service } from './members/honest.ts'

export interface Run {
  /** How long an attack that takes as long as it is given goes on. */
  readonly seconds: number
  say(line: string): void
}

export interface Findings {
  /** What the attacker did, and how often. */
  readonly tried: Readonly<Record<string, number>>
  /** Counters of the node under attack that say what it refused. */
  readonly refused: Readonly<Record<string, number>>
  readonly before?: Service
  readonly during?: Service
  readonly memory?: { readonly beforeMib: number; readonly peakMib: number }
  /** What the attacker reached, as sentences. Empty: it was held off. */
  readonly reached: readonly string[]
}

export interface Attack {
  readonly name: string
  /** Its line of issue 16, part A; `T` and a number of those of tasks, `R` of resources, `C` of plans, `B` of budgets, `W` of waits. */
  readonly line: string
  readonly by: 'stranger' | 'member' | 'former member' | 'operator'
  readonly about: string
  play(run: Run): Promise<Findings>
}
