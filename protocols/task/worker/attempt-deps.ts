/** What an attempt needs of its node. */
import type { EventCursor } from '../../events/api.ts'
import type { Decided } from '../../journal/client/change-batcher.ts'
import type { Port } from '../../port.ts'
import type { BytesTransfers } from '../bytes/bytes-transfers.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import type { ParentTasks } from './attempt-children.ts'
import type { MakeCall } from './recorded-effect.ts'
import type { ProgressReport } from './task-context.ts'

export type AttemptCount = 'completed' | 'failed' | 'abandoned' | 'effectsRun' | 'effectsKnown'

export interface AttemptDeps {
  /** Its clock is the journal's: attempts are measured by it. */
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log'>
  /** The journal's time at least: no deadline passes here before it has passed there. */
  readonly sureClock: Pick<Port['clock'], 'now'>
  /** @param plan whose budget a draw is of; undefined: the task's own */
  decide(change: TaskChange, plan?: string): Promise<Decided>
  readonly call: MakeCall
  /** Where the history of a topic ends now. */
  cursorOf(topic: string): Promise<EventCursor>
  readonly tasks: ParentTasks
  progress(id: string, fraction: number, report: ProgressReport): void
  /** Values that are too large for the journal. */
  readonly values: Pick<BytesTransfers, 'store' | 'load'>
  /** @param id of the task, where its attempt has ended by that */
  count(what: AttemptCount, id?: string): void
}
