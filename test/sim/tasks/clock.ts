/** A schedule of the simulated mesh: each of its times begins one task, and none is left out, whoever is lost. Keeps no state. */
import type { Journal } from '../../../protocols/journal/client/journal-client.ts'
import { firedTaskId, readSchedule, scheduleKey } from '../../../protocols/task/schedule/schedule-record.ts'
// Loaded before virtual time begins: nothing of it waits for the disk then.
import '../../../protocols/task/schedule/schedule-times.ts'
import type { TasksFeature } from '../../../protocols/task/tasks.ts'
import { TICK } from './plan.ts'

const ID = 'clock'
const EVERY_MS = 1_700
const WAIT_MS = 240_000

export const startClock = (tasks: TasksFeature): Promise<void> =>
  tasks.schedule({ id: ID, everyMs: EVERY_MS, misfire: { all: 1_000 }, task: { type: TICK } })

/** @returns how many times there were @throws Error with what it found wrong */
export const checkClock = async (tasks: TasksFeature, journal: Journal): Promise<number> => {
  await tasks.pauseSchedule(ID)
  const record = readSchedule((await journal.get(scheduleKey(ID)))?.value)
  if (record === undefined) throw new Error('the schedule is gone')
  const { since, fired, held, lastAt = since } = record
  const times = (lastAt - since) / EVERY_MS
  if (fired !== times || held !== 0)
    throw new Error(`${times} times have come, ${fired} tasks began, ${held} were held`)
  for (let nominal = since + EVERY_MS; nominal <= lastAt; nominal += EVERY_MS) {
    const id = firedTaskId(ID, nominal)
    const { status } = await tasks.get(id).ended({ timeoutMs: WAIT_MS })
    if (status !== 'completed') throw new Error(`${id} is ${status}`)
  }
  return fired
}
