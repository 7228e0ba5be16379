/**
 * Schedules as any node makes, reads and controls them. Who made one decides about it; anybody else asks the coordinator, which
 * lets holders of `coordinate`. Keeps no state.
 */

import { toString as encodeText } from 'uint8arrays/to-string'
import type * as z from 'zod'
import { checkedInput } from '../../checked-input.ts'
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import { notLeading } from '../../journal/feed/record-feeds.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port } from '../../port.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import { encodeValue } from '../bytes/stored-bytes.ts'
import { submittedTask } from '../client/submitted-task.ts'
import type { TaskWaitOptions } from '../client/task-api.ts'
import type { TaskBatcher } from '../client/task-decisions.ts'
import { limitedWait, nobodyDecides, SUBMIT_MS } from '../client/wait-limit.ts'
import { type ScheduleControlSchema, taskProtocol } from '../contract.ts'
import type { ChangeOf } from '../journal/task-changes.ts'
import { MAX_VALUE_BYTES } from '../task-record.ts'
import type { ScheduledSubmission, ScheduleOptions, ScheduleState } from './schedule-api.ts'
import { ScheduleChangeSchema } from './schedule-changes.ts'
import { readSchedule, SCHEDULE_PREFIX, ScheduleId, type ScheduleRecord } from './schedule-record.ts'

export type ScheduleAction = 'remove' | 'pause' | 'resume'
type ControlRequest = Omit<z.output<typeof ScheduleControlSchema>, 'meshId'>

const KEYS = keysOf<ScheduleOptions>({
  id: true,
  cron: true,
  zone: true,
  everyMs: true,
  at: true,
  misfire: true,
  overlap: true,
  until: true,
  task: true,
})
const TASK_KEYS = keysOf<ScheduledSubmission>({
  type: true,
  typeVersion: true,
  input: true,
  metadata: true,
  priority: true,
  requirements: true,
  retry: true,
  attemptTimeoutMs: true,
  takeover: true,
  withinMs: true,
})

/** @throws MSG001 unless it is one of the three */
const planOf = ({ id, cron, zone, everyMs, at }: ScheduleOptions): object => {
  const given = [cron, everyMs, at].filter((one) => one !== undefined).length
  if (given === 1 && (zone === undefined || cron !== undefined)) {
    if (cron !== undefined) return { kind: 'cron', cron: String(cron).trim().replace(/\s+/g, ' '), zone: zone ?? 'UTC' }
    return everyMs === undefined ? { kind: 'at', at: Number(at) } : { kind: 'every', everyMs }
  }
  throw new ParleyError('MSG001', `the schedule ${String(id).slice(0, 128)} has ${given} of cron, everyMs and at`, {
    hint: 'give one of them; a zone goes with cron alone',
  })
}

/** Each task has its own copy: nobody holds bytes for tasks to come. @throws MSG001 for what the journal does not take */
const rowOf = (value: unknown): Json => {
  const encoded = encodeValue('the input', value)
  if ('row' in encoded) return encoded.row
  throw new ParleyError('MSG001', `the input of scheduled tasks has ${encoded.bytes.length} bytes`, {
    hint: `keep it within ${MAX_VALUE_BYTES} of JSON; put large data elsewhere and keep its address`,
  })
}

const ENCODER = new TextEncoder()

/** @throws MSG001 */
const scheduleChange = async (
  port: Pick<Port, 'clock' | 'random' | 'hash'>,
  given: ScheduleOptions,
): Promise<ChangeOf<'schedule'>> => {
  checkKeys(given, KEYS, 'a schedule')
  checkKeys(given.task, TASK_KEYS, 'the task of a schedule')
  const { misfire = 'one', overlap = 'allow', until } = given
  const { withinMs, input: value = null, ...submission } = given.task
  const { id: _id, digest: _digest, input: _input, metadata, ...task } = submittedTask(port, submission)
  const input = rowOf(value)
  const made = {
    ...{ do: 'schedule', id: given.id, plan: planOf(given), misfire, overlap },
    ...(until !== undefined && { until: Number(until) }),
    task: { ...task, ...(withinMs !== undefined && { withinMs }) },
    ...{ input, ...(metadata !== undefined && { metadata }), digest: '' },
  }
  const { id, ...what } = checkedInput(ScheduleChangeSchema, made, 'the schedule cannot be made')
  // Most programs make none.
  const { checkPlan } = await import('./schedule-times.ts')
  checkPlan(what.plan, port.clock.now(), what.until)
  return { id, ...what, digest: encodeText(port.hash(ENCODER.encode(JSON.stringify(what))), 'base16') }
}

const stateOf = (id: string, record: ScheduleRecord): ScheduleState => {
  const { owner, plan, misfire, overlap, until, task, nextAt, lastAt, lastTask, fired, held, isPaused } = record
  const { kind: _kind, ...times } = plan
  return {
    ...{ id, owner, type: task.type, ...times, misfire, overlap, fired, held, isPaused: isPaused === true },
    ...(until !== undefined && { until }),
    ...(nextAt !== undefined && { nextAt }),
    ...(lastAt !== undefined && { lastAt }),
    ...(lastTask !== undefined && { lastTask }),
  }
}

const controlChange = ({ id, action }: ControlRequest, epoch?: number): ChangeOf<'unschedule' | 'hold-schedule'> => {
  const by = epoch === undefined ? {} : { epoch }
  if (action === 'remove') return { do: 'unschedule', id, ...by }
  return { do: 'hold-schedule', id, paused: action === 'pause', ...by }
}

export interface SchedulesDeps {
  readonly port: Pick<Port, 'clock' | 'random' | 'hash' | 'timers' | 'to'>
  readonly journal: Pick<Journal, 'list'>
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  readonly batcher: Pick<TaskBatcher, 'decide'>
}

export class Schedules {
  readonly #deps: SchedulesDeps

  constructor(deps: SchedulesDeps) {
    this.#deps = deps
  }

  async make(given: ScheduleOptions, options: TaskWaitOptions = {}): Promise<void> {
    const { port, batcher } = this.#deps
    const change = await scheduleChange(port, given)
    const { timeoutMs = SUBMIT_MS } = options
    const { signal, stop } = limitedWait(port, { ...options, timeoutMs }, () => nobodyDecides(timeoutMs))
    try {
      await batcher.decide(change, { signal })
    } finally {
      stop()
    }
  }

  async control(id: string, action: ScheduleAction): Promise<void> {
    const { port, batcher, coordinator } = this.#deps
    const change = controlChange({ id: checkedInput(ScheduleId, id, 'there is no such schedule'), action })
    try {
      await batcher.decide(change)
    } catch (error) {
      const { leader, meshId } = coordinator.status()
      if (!isParleyError(error, 'SEC002') || leader === undefined || meshId === undefined) throw error
      await port.to(leader, taskProtocol).schedule({ meshId, id, action })
    }
  }

  /** For somebody whose capability was checked. @throws STA003 where this node does not coordinate */
  async asCoordinator(asked: ControlRequest): Promise<void> {
    const { epoch, acting } = this.#deps.coordinator.status()
    if (!acting) throw notLeading()
    await this.#deps.batcher.decide(controlChange(asked, epoch))
  }

  async list({ signal, timeoutMs }: TaskWaitOptions = {}): Promise<ScheduleState[]> {
    const { records } = await this.#deps.journal.list(SCHEDULE_PREFIX, {
      ...(signal !== undefined && { signal }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    return records.flatMap(({ key, value }) => {
      const record = readSchedule(value)
      return record === undefined ? [] : [stateOf(key.slice(SCHEDULE_PREFIX.length), record)]
    })
  }
}
