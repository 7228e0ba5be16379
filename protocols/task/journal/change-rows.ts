/** Which rows a change of a task reads and writes, so that the journal has them before it is applied. Pure. */
import type { RowName } from '../../journal/state/command-kind.ts'
import { eventRow, listenRow } from '../events/event-wait.ts'
import { firedTaskId, SCHEDULES } from '../schedule/schedule-record.ts'
import {
  CHECKPOINT_ROW,
  DONE,
  ENDED,
  effectRow,
  endedRow,
  INPUT_ROW,
  signalRow,
  signalsOf,
  sleepRow,
  waitRow,
  workOf,
} from '../task-record.ts'
import { historyRowsOf } from './history-notes.ts'
import type { TaskChange } from './task-changes.ts'

const done = (id: string): RowName => ({ collection: DONE, key: id })
const ofWork = (id: string, key: string): RowName => ({ collection: workOf(id), key })
const ofSignals = (id: string, key: string): RowName => ({ collection: signalsOf(id), key })
const signal = ({ id, name }: { readonly id: string; readonly name: string }): RowName => ofSignals(id, signalRow(name))
/** What may end it. */
const ending = (id: string): RowName[] => [done(id), ofWork(id, INPUT_ROW)]

const ownRowsOf = (change: TaskChange): RowName[] => {
  switch (change.do) {
    case 'submit':
      return change.tasks.flatMap(({ id, dependencies = [] }) => [
        ...ending(id),
        ...dependencies.map(({ task_id }) => done(task_id)),
      ])
    case 'resume':
    case 'checkpoint':
      return [...ending(change.id), ofWork(change.id, CHECKPOINT_ROW)]
    case 'effect':
      return [ofWork(change.id, effectRow(change.name, change.key))]
    case 'sleep':
      return [ofWork(change.id, sleepRow(change.name))]
    case 'wait':
      return [ofWork(change.id, waitRow(change.name)), signal(change)]
    case 'signal':
      return [...ending(change.id), signal(change)]
    case 'wake':
    case 'pause':
    case 'cancel':
    case 'complete':
    case 'fail':
    case 'settle':
    case 'lose':
    case 'expire':
    case 'time-out':
      return ending(change.id)
    case 'listen':
      return [ofSignals(change.id, eventRow(change.name)), ofSignals(change.id, listenRow(change.name))]
    case 'advance':
      return [ofSignals(change.id, listenRow(change.name)), done(change.id)]
    case 'hear':
      return [...ending(change.id), ofSignals(change.id, eventRow(change.name))]
    case 'schedule':
    case 'unschedule':
      return [{ collection: SCHEDULES, key: change.id }]
    case 'fire': {
      const task = change.nominal === undefined ? [] : ending(firedTaskId(change.id, change.nominal))
      return [{ collection: SCHEDULES, key: change.id }, ...task]
    }
    case 'archive':
      return change.tasks.map(({ id, endedAt }) => ({ collection: ENDED, key: endedRow(endedAt, id) }))
    case 'forget':
      return change.tasks.flatMap(({ id, endedAt }) => [done(id), { collection: ENDED, key: endedRow(endedAt, id) }])
    default:
      return []
  }
}

/** With those of its history. */
export const rowsOf = (change: TaskChange): RowName[] => [...ownRowsOf(change), ...historyRowsOf(change)]
