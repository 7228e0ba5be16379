/** What a node counts of tasks. */
import type { FigureSpec } from '../part.ts'
import type { BytesFigures } from './bytes/task-bytes.ts'

export const TASK_FIGURES = {
  open: { kind: 'gauge', help: 'Tasks that have not ended, where this node coordinates' },
  queued: { kind: 'gauge', help: 'Tasks that wait for a worker, where this node coordinates' },
  in_work: { kind: 'gauge', help: 'Tasks that a worker has, where this node coordinates' },
  workers: { kind: 'gauge', help: 'Workers that keep their lease, where this node coordinates' },
  working: { kind: 'gauge', help: 'Tasks that this node works on' },
  feeds: { kind: 'gauge', help: 'Nodes that follow their tasks here' },
  placed_total: { kind: 'counter', help: 'Tasks that this node gave to workers since it coordinates' },
  submitted_total: { kind: 'counter', help: 'Tasks that this node submitted' },
  completed_total: { kind: 'counter', help: 'Tasks that this node completed' },
  failed_total: { kind: 'counter', help: 'Attempts of this node that failed' },
  abandoned_total: { kind: 'counter', help: 'Attempts of this node that ended since they counted no more' },
  effects_run_total: { kind: 'counter', help: 'Effects that this node ran' },
  effects_known_total: { kind: 'counter', help: 'Effects that were recorded before, and not run again' },
  changes_total: { kind: 'counter', help: 'Changes of tasks that were decided for this node' },
  untold_total: { kind: 'counter', help: 'Changes of tasks that were not told by events, where this node coordinates' },
  decisions_total: { kind: 'counter', help: 'Decisions of the journal that these took' },
  bytes_held: { kind: 'gauge', help: 'Large values of tasks that this node holds' },
  bytes_held_size: { kind: 'gauge', help: 'Bytes of the large values of tasks that this node holds' },
  bytes_stored_total: { kind: 'counter', help: 'Large values that this node had held' },
  bytes_fetched_total: { kind: 'counter', help: 'Large values that this node fetched' },
  bytes_lost_total: { kind: 'counter', help: 'Large values of which nobody could be reached who holds them' },
  bytes_damaged_total: { kind: 'counter', help: 'Large values that this node held and that were damaged' },
  bytes_copied_total: { kind: 'counter', help: 'Copies that this node had made since a holder was gone' },
  bytes_refused_total: { kind: 'counter', help: 'Large values that this node did not take, or not give' },
} as const satisfies Readonly<Record<string, FigureSpec>>
export type TaskFigures = { readonly [K in keyof typeof TASK_FIGURES]: number }

type BytesFigureNames = Extract<keyof TaskFigures, `bytes_${string}`>

export const bytesFigures = (of: BytesFigures): Pick<TaskFigures, BytesFigureNames> => ({
  ...{ bytes_held: of.held, bytes_held_size: of.bytes, bytes_stored_total: of.stored, bytes_fetched_total: of.fetched },
  ...{ bytes_lost_total: of.lost, bytes_damaged_total: of.damaged },
  ...{ bytes_copied_total: of.copied, bytes_refused_total: of.refused },
})
