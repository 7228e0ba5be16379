/**
 * Tasks: work that is done once, although its requester, its worker and the coordinator may each die (docs/tasks.md).
 *
 * What a task is stands in the journal. The coordinator places it (scheduler/), a worker does it (worker/), whoever waits for it
 * hears of it (feed/). Any node submits, works and waits alike.
 * State: what this node waits for and works on, and while it coordinates the board of all open tasks.
 * Wire id: `/parley/task/1`.
 */
import type { CoordinatorFeature } from '../coordinator/api.ts'
import type { Handlers } from '../define.ts'
import { ParleyError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import type { Journal } from '../journal/client/journal-client.ts'
import { HeardTime } from '../journal/feed/heard-time.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import type { Json } from '../journal/state/command-kind.ts'
import type { BoardData, TableData, TimelineData } from '../part.ts'
import type { Port, Stop } from '../port.ts'
import type { Registration } from '../registration.ts'
import type { Tasks, TasksCounts } from './api.ts'
import { RESULT_ROW, storedRow } from './bytes/stored-bytes.ts'
import type { TaskBytes } from './bytes/task-bytes.ts'
import { ackMessage, readTaskMessage, rejectMessage, statusMessage, type TaskAnswer } from './client/seed-messages.ts'
import { newTaskId } from './client/submitted-task.ts'
import type { RetryTask, SubmitTask, TaskHandle, TaskWaitOptions } from './client/task-api.ts'
import { TaskControls } from './client/task-control.ts'
import { createTaskBatcher, type TaskBatcher } from './client/task-decisions.ts'
import { createTaskHandle } from './client/task-handle.ts'
import { TaskReader } from './client/task-reader.ts'
import { failedTask, TaskSubmitter } from './client/task-submitter.ts'
import { TaskTrackers, type Tracker } from './client/task-trackers.ts'
import { readBoard, tasksTable, timelineOf } from './client/task-views.ts'
import { askDigest, tasksDigest } from './client/tasks-digest.ts'
import type { taskProtocol } from './contract.ts'
import { EventWatcher } from './events/event-watcher.ts'
import { createTaskFeeds, followTasks, type TaskFeeds, type TaskFollower, tellTasks } from './feed/task-feed.ts'
import { ScheduleRunner } from './schedule/schedule-runner.ts'
import { Schedules } from './schedule/schedules.ts'
import { TaskAnnouncer } from './scheduler/task-announcer.ts'
import { TaskScheduler } from './scheduler/task-scheduler.ts'
import type { Detected } from './scheduler/worker-presence.ts'
import { type TaskFigures, taskFigures } from './task-figures.ts'
import { INPUT_ROW } from './task-record.ts'
import { claimOf, type TaskResources } from './task-resources.ts'
import { taskVersions } from './task-view.ts'
import { hearAttempts, type PlanTasks, tasksForPlans } from './tasks-for-plans.ts'
import type { SubmittedChild } from './worker/attempt-children.ts'
import type { MakeCall } from './worker/recorded-effect.ts'
import type { WorkFunction } from './worker/task-context.ts'
import { TaskWorker } from './worker/task-worker.ts'

/** A table is for somebody who looks at it. */
const SHOW_MS = 2_000
const MOST_SHOWN = 500

export interface TasksDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'hash' | 'log' | 'to' | 'members' | 'onMember'>
  readonly journal: Journal
  readonly events: Pick<Events, 'publish' | 'hasAudience' | 'subscribe' | 'cursor'>
  readonly coordinator: Pick<CoordinatorFeature, 'status' | 'onChange' | 'act'>
  /** This node's copy of the journal. */
  member(): JournalMember | undefined
  onPresence(fn: (peer: string, presence: Detected) => void): Stop
  presenceOf(peer: string): Detected
  readonly call: MakeCall
  /** Milliseconds that what final tasks left is kept. */
  readonly retainMs: number
  /** Values that are too large for the journal. */
  readonly bytes: TaskBytes
  /** What gives tasks what they require; undefined: nothing does. */
  readonly resources?: TaskResources
}

export interface TasksFeature extends Tasks {
  readonly handlers: Handlers<typeof taskProtocol>
  readonly forPlans: PlanTasks
  figures(): TaskFigures
  /** Open tasks, for people. */
  table(): Promise<TableData>
  /** Open tasks by their state, and what ended lately. */
  board(): Promise<BoardData>
  /** What happened to one. @throws STA001 */
  timeline(id: string): Promise<TimelineData>
  drain(leftMs: number): Promise<void>
  stop(): Promise<void>
}

class NodeTasks implements TasksFeature {
  readonly handlers: Handlers<typeof taskProtocol>
  readonly #deps: TasksDeps
  readonly #batcher: TaskBatcher
  readonly #announcer: TaskAnnouncer
  readonly #feeds: TaskFeeds
  readonly #worker: TaskWorker
  readonly #reader: TaskReader
  readonly #controls: TaskControls
  readonly #schedules: Schedules
  readonly #trackers: TaskTrackers
  readonly #submitter: TaskSubmitter
  readonly #journalTime: HeardTime
  readonly #bytes: TaskBytes
  readonly #acting: Registration
  readonly #counts = { submitted: 0, completed: 0, failed: 0, abandoned: 0, effectsRun: 0, effectsKnown: 0 }
  #follower: TaskFollower | undefined
  #scheduler: TaskScheduler | undefined
  readonly #end = new AbortController()
  readonly forPlans: PlanTasks

  constructor(deps: TasksDeps) {
    this.#deps = deps
    const { coordinator, port, journal, member, bytes } = deps
    this.#bytes = bytes
    this.#journalTime = new HeardTime(port.clock)
    this.#batcher = createTaskBatcher(journal, port)
    this.#reader = new TaskReader(journal)
    this.#controls = new TaskControls({ port, coordinator, batcher: this.#batcher })
    this.#schedules = new Schedules({ port, journal, coordinator, batcher: this.#batcher })
    this.#announcer = new TaskAnnouncer(deps)
    this.#trackers = new TaskTrackers({
      ...{ port, coordinator, stopped: this.#end.signal },
      read: (id, signal) => this.#reader.read(id, signal),
      live: (signal) => this.#own().live(signal),
    })
    this.#submitter = new TaskSubmitter({
      ...{ port, batcher: this.#batcher, trackers: this.#trackers, values: bytes.transfers, retainMs: deps.retainMs },
      live: (signal) => this.#own().live(signal),
    })
    const { heard, ...hearing } = hearAttempts(this.#announcer, this.#counts, this.#batcher)
    const feeds = createTaskFeeds(port, () => (coordinator.status().acting ? member() : undefined))
    this.#feeds = feeds
    this.#worker = new TaskWorker({
      ...{ port: { ...port, clock: this.#journalTime }, batcher: this.#batcher, values: bytes.transfers },
      ...{ call: deps.call, leaseClock: port.clock, sureClock: this.#journalTime.sure },
      cursorOf: (topic) => deps.events.cursor(topic),
      live: () => this.#own().live(this.#end.signal),
      readRows: (id) => this.#reader.work(id),
      claim: claimOf(deps.resources),
      tasks: this,
      ...heard,
    })
    this.handlers = {
      feed: tellTasks(feeds, member),
      digest: async () => {
        const { machine } = this.#feeds.leading()
        return tasksDigest(port, { version: machine.version(), tasks: taskVersions({ machine }) })
      },
      control: async (asked, { peer }) => ({ status: await this.#controls.asCoordinator(asked, peer) }),
      schedule: async (asked) => {
        await this.#schedules.asCoordinator(asked)
        return {}
      },
    }
    const [submitAll, get, work] = [this.submitAll.bind(this), this.get.bind(this), () => this.#worker.agentWork()]
    this.forPlans = tasksForPlans({ submitAll, get, work, ...hearing }, this.#batcher)
    this.#acting = coordinator.act(({ epoch, signal }) => this.#coordinate(epoch, signal))
  }

  submit: Tasks['submit'] = async (task, options = {}) => (await this.submitChild(task, options)).handle

  /** Says as well whether it was there before. */
  async submitChild(task: SubmitTask, options: TaskWaitOptions): Promise<SubmittedChild> {
    const [child] = await this.#submit([task], options)
    return child ?? Promise.reject(new Error('a submission was answered with nothing'))
  }

  async submitAll(given: readonly SubmitTask[], options: TaskWaitOptions = {}): Promise<TaskHandle[]> {
    return (await this.#submit(given, options)).map(({ handle }) => handle)
  }

  async #submit(given: readonly SubmitTask[], options: TaskWaitOptions): Promise<SubmittedChild[]> {
    const accepted = await this.#submitter.submit(given, options)
    this.#counts.submitted += accepted.filter(({ known }) => !known).length
    return accepted.map(({ id, known, tracker }) => ({ handle: this.#handle(id, tracker), known }))
  }

  async retry(id: string, { id: as, ...options }: RetryTask = {}): Promise<TaskHandle> {
    const load = (row: Json) => this.#bytes.transfers.load(row, { task: id, row: INPUT_ROW }, options)
    return this.submit(await failedTask(this.#reader, load, id, { as, signal: options.signal }), options)
  }

  get(id: string): TaskHandle {
    return this.#handle(id, undefined)
  }

  #handle(id: string, tracker: Tracker | undefined): TaskHandle {
    return createTaskHandle(
      {
        port: this.#deps.port,
        read: (one, signal) => this.#reader.read(one, signal),
        watch: (one, fn, signal) => this.#trackers.watch(one, fn, signal, tracker),
        control: (one, control) => this.#controls.control(one, control),
        recorded: (one) => this.#reader.recorded(one),
        load: (one, stored, signal) =>
          this.#bytes.transfers.load(storedRow(stored), { task: one, row: RESULT_ROW }, { signal }),
        history: (one, signal) => this.#reader.history(one, signal),
      },
      id,
    )
  }

  letGo = (id: string): boolean => this.#submitter.letGo(id)
  list: Tasks['list'] = (options = {}) => this.#reader.list(options)
  changes: Tasks['changes'] = (options = {}) => this.#reader.changes(options)
  digest: Tasks['digest'] = (options) => askDigest(this.#deps, options)

  async receive(type: string, payload: unknown): Promise<TaskAnswer> {
    const message = readTaskMessage(type, payload)
    if (message.type === 'task.submit') return statusMessage(await (await this.submit(message.task)).state())
    const { id, control, commandId = newTaskId(this.#deps.port) } = message
    try {
      return ackMessage(commandId, await this.#controls.control(id, control))
    } catch (error) {
      return rejectMessage(commandId, error)
    }
  }

  schedule: Tasks['schedule'] = (given, options) => this.#schedules.make(given, options)
  unschedule: Tasks['unschedule'] = (id) => this.#schedules.control(id, 'remove')
  pauseSchedule: Tasks['pauseSchedule'] = (id) => this.#schedules.control(id, 'pause')
  resumeSchedule: Tasks['resumeSchedule'] = (id) => this.#schedules.control(id, 'resume')
  schedules: Tasks['schedules'] = (options) => this.#schedules.list(options)

  /** What it works on is of the types that the program says. */
  work: Tasks['work'] = (type, fn, options) => this.#worker.work(type, fn as unknown as WorkFunction, options)

  counts(): TasksCounts {
    return { ...this.#counts, working: this.#worker.attempts() }
  }

  figures(): TaskFigures {
    return taskFigures({
      ...{ board: this.#scheduler?.counts(), feeds: this.#feeds.counts().feeds, decided: this.#batcher.counts() },
      ...{ own: this.counts(), untold: this.#announcer.dropped(), bytes: this.#bytes.figures() },
      budgets: this.#submitter.budgets(),
    })
  }

  table = async (): Promise<TableData> => tasksTable(await this.list({ most: MOST_SHOWN, timeoutMs: SHOW_MS }))
  board = (): Promise<BoardData> => readBoard(this.#deps.journal, this.#deps.port.clock.now(), SHOW_MS)

  async timeline(id: string): Promise<TimelineData> {
    const handle = this.get(id)
    const { record } = await handle.state({ timeoutMs: SHOW_MS })
    return timelineOf(await handle.history({ timeoutMs: SHOW_MS }), record.parent)
  }

  drain = (leftMs: number): Promise<void> => this.#worker.drain(leftMs)

  async stop(): Promise<void> {
    await this.#worker.stop()
    this.#end.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    this.#bytes.stop()
    await this.#acting.stop()
    this.#follower?.stop()
    this.#trackers.stop()
    this.#feeds.stop()
  }

  async #coordinate(epoch: number, signal: AbortSignal): Promise<void> {
    const { port, member, events, onPresence, presenceOf, retainMs } = this.#deps
    const scheduler = new TaskScheduler(
      {
        ...{ port, batcher: this.#batcher, announcer: this.#announcer, member, onPresence, presenceOf },
        retainMs: () => retainMs,
        capacity: this.#deps.resources?.capacity,
      },
      epoch,
      signal,
    )
    this.#scheduler = scheduler
    const schedules = new ScheduleRunner({ port, batcher: this.#batcher, member }, epoch, signal)
    const watcher = new EventWatcher({ port, batcher: this.#batcher, events, member }, epoch, signal)
    try {
      await Promise.all([scheduler.run(), schedules.run(), watcher.run()])
    } finally {
      if (this.#scheduler === scheduler) this.#scheduler = undefined
    }
  }

  /** The feed of what this node submitted and works on. */
  #own(): TaskFollower {
    this.#follower ??= followTasks(this.#deps, {
      own: () => this.#worker.agentWork().tasks,
      onTime: (at) => this.#journalTime.heard(at),
      onTold: (task) => {
        this.#worker.onTask(task)
        this.#trackers.onTask(task)
      },
      onReset: (ids) => {
        this.#worker.onReset(ids)
        this.#trackers.onReset(ids)
      },
    })
    return this.#follower
  }
}

export const createTasks = (deps: TasksDeps): TasksFeature => new NodeTasks(deps)
