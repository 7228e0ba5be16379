/** What a node counts of tasks. */

import type { BatcherCounts } from '../journal/client/change-batcher.ts'
import type { FigureSpec } from '../part.ts'
import type { TasksCounts } from './api.ts'
import type { BytesFigures } from './bytes/task-bytes.ts'
import type { SharesCounts } from './client/watched-shares.ts'
import type { BoardCounts } from './scheduler/board-task.ts'

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
  changes_refused_total: { kind: 'counter', help: 'Changes of tasks that were refused to this node' },
  planned_refused_total: {
    kind: 'counter',
    help: 'Changes that this node planned since it coordinates, refused as tasks had changed',
  },
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
  budgets_given: { kind: 'gauge', help: 'Tasks with a budget of this node whose ends it waits for' },
  budgets_written_off_total: {
    kind: 'counter',
    help: 'Parts of budgets that count as spent, since nothing is heard of their tasks',
  },
} as const satisfies Readonly<Record<string, FigureSpec>>
export type TaskFigures = { readonly [K in keyof typeof TASK_FIGURES]: number }

export interface Counted {
  /** Undefined: this node does not coordinate. */
  readonly board: (BoardCounts & { readonly placed: number; readonly refused: number }) | undefined
  readonly feeds: number
  readonly decided: Pick<BatcherCounts, 'changes' | 'decisions' | 'refused'>
  readonly own: TasksCounts
  /** Changes that were not told by events. */
  readonly untold: number
  readonly bytes: BytesFigures
  readonly budgets: SharesCounts
}

export const taskFigures = ({ board, feeds, decided, own, untold, bytes, budgets }: Counted): TaskFigures => ({
  ...{ open: board?.open ?? 0, queued: board?.queued ?? 0, in_work: board?.inWork ?? 0 },
  ...{ workers: board?.workers ?? 0, placed_total: board?.placed ?? 0, working: own.working, feeds },
  ...{ submitted_total: own.submitted, completed_total: own.completed },
  ...{ failed_total: own.failed, abandoned_total: own.abandoned },
  ...{ effects_run_total: own.effectsRun, effects_known_total: own.effectsKnown },
  ...{
    changes_total: decided.changes,
    changes_refused_total: decided.refused,
    planned_refused_total: board?.refused ?? 0,
    decisions_total: decided.decisions,
    untold_total: untold,
  },
  ...{ bytes_held: bytes.held, bytes_held_size: bytes.bytes, bytes_stored_total: bytes.stored },
  ...{ bytes_fetched_total: bytes.fetched, bytes_lost_total: bytes.lost, bytes_damaged_total: bytes.damaged },
  ...{ bytes_copied_total: bytes.copied, bytes_refused_total: bytes.refused },
  ...{ budgets_given: budgets.watched, budgets_written_off_total: budgets.writtenOff },
})
