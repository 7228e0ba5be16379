/**
 * Tells of tasks by events, as seed 001 has it: what was submitted, each status, each version. They are notifications; what
 * holds is the journal. Nothing is published where nobody listens. State: when progress of each was told last (bounded).
 */
import type { Events } from '../../events/api.ts'
import { EventTeller } from '../../events/event-teller.ts'
import type { Port } from '../../port.ts'
import { MAX_NOTE, stateChangedEvent, statusTopic, taskStatusEvent, taskSubmittedEvent } from '../task-events.ts'
import type { TaskRecord } from '../task-record.ts'
import type { ProgressReport } from '../worker/task-context.ts'

/** Of one task, milliseconds between two reports of progress. */
const PROGRESS_MS = 250
/** Tasks whose last report is noted. */
const MAX_TOLD = 1_000

export interface AnnouncerDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
}

export class TaskAnnouncer {
  readonly #deps: AnnouncerDeps
  /** When progress of each task was told. */
  readonly #toldAt = new Map<string, number>()
  readonly #teller: EventTeller

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps
    this.#teller = new EventTeller(deps.port.log, 'tasks')
  }

  dropped(): number {
    return this.#teller.dropped()
  }

  /** @param before undefined: it is new @param after undefined: its record went, which is no news */
  tell(id: string, version: number, before: TaskRecord | undefined, after: TaskRecord | undefined): void {
    if (after === undefined) return
    const { events } = this.#deps
    const timestamp = after.changedAt
    if (events.hasAudience(stateChangedEvent.topic))
      this.#teller.tell(() =>
        events.publish(stateChangedEvent, { type: 'state.changed', task_id: id, version, timestamp }),
      )
    if (!events.hasAudience(taskSubmittedEvent.topic)) return
    const { status, type, priority, deadline, requirements } = after
    if (before === undefined && after.attempts === 0) {
      const more = { ...(deadline !== undefined && { deadline }), ...(requirements !== undefined && { requirements }) }
      this.#teller.tell(() => events.publish(taskSubmittedEvent, { task_id: id, type, priority, ...more }))
    }
    if (before?.status === status) return
    const progress = status === 'completed' ? 1 : 0
    const data = { task_id: id, status, progress, metrics: {}, timestamp }
    this.#teller.tell(() => events.publish(taskStatusEvent, data, { topic: statusTopic(id) }))
  }

  /** How far the work of this node at a task is; at most each PROGRESS_MS. */
  progress(id: string, progress: number, { note, metrics = {} }: ProgressReport): void {
    const { events, port } = this.#deps
    const at = port.clock.monotonic()
    const isSoon = at - (this.#toldAt.get(id) ?? Number.NEGATIVE_INFINITY) < PROGRESS_MS
    if ((isSoon && progress < 1) || !events.hasAudience(taskStatusEvent.topic)) return
    this.#toldAt.delete(id)
    this.#toldAt.set(id, at)
    const [oldest] = this.#toldAt.keys()
    if (this.#toldAt.size > MAX_TOLD && oldest !== undefined) this.#toldAt.delete(oldest)
    const data = {
      task_id: id,
      status: 'running' as const,
      progress,
      metrics: { ...metrics },
      timestamp: port.clock.now(),
    }
    const noted = { ...data, ...(note !== undefined && { note: note.slice(0, MAX_NOTE) }) }
    this.#teller.tell(() => events.publish(taskStatusEvent, noted, { topic: statusTopic(id) }))
  }
}
