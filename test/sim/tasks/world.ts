/**
 * Tasks on nodes of the simulated mesh, as node/parts/built-in.ts starts them: submitted, done, paused, canceled, while nodes
 * are killed, lose power, and are cut off, requester, worker and coordinator alike. Everything follows from the seed.
 *
 * At every step the journal is looked at (observer.ts), and no effect that was recorded runs again (sink.ts). At the end all are
 * there and connected again: every task that was accepted ends once, with the right result, and nothing is stranded.
 */

import { isParleyError } from '../../../protocols/errors.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import { TaskBytes } from '../../../protocols/task/bytes/task-bytes.ts'
import type { SubmitTask, TaskHandle } from '../../../protocols/task/client/task-api.ts'
import { taskProtocol } from '../../../protocols/task/contract.ts'
import { taskJournal } from '../../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../../protocols/task/task-record.ts'
import { createTasks, type TasksFeature } from '../../../protocols/task/tasks.ts'
import { createJournalMesh, type JournalNode } from '../../support/journal-mesh.ts'
import { checkClock, startClock } from './clock.ts'
import { TaskObserver } from './observer.ts'
import { Sink } from './sink.ts'

const NAMES = ['m0', 'm1', 'm2', 'm3', 'm4']
const PARTS: readonly JournalPart[] = [{ ...taskJournal, name: TASKS_PART }]
const STEP_MS = [50, 600] as const
const HEAL_MS = 240_000
const EFFECTS = 3

export interface TasksTotals {
  steps: number
  submitted: number
  completed: number
  failed: number
  canceled: number
  kills: number
  powerCuts: number
  cuts: number
  pauses: number
  /** Attempts after the first. */
  again: number
  effects: number
  /** Effects that ran again, since a worker died between running and recording. */
  repeated: number
  /** Nodes that were asked by another one than the submitter. */
  watched: number
  /** Tasks that a schedule began. */
  ticks: number
}

interface Running {
  readonly node: JournalNode
  readonly tasks: TasksFeature
}

interface Known {
  readonly input: number
  readonly isBroken: boolean
  readonly dependency: string | undefined
  readonly by: string
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const runTasksWorld = async ({
  seed,
  steps,
  trace,
}: {
  seed: number
  steps: number
  trace?: ((line: string) => void) | undefined
}): Promise<TasksTotals> => {
  const mesh = createJournalMesh({ seed, snapshotEvery: 200, autopilot: { stableMs: 1_000, replaceAfterMs: 600_000 } })
  const { time, random } = mesh.network
  const totals: TasksTotals = {
    ...{ steps, submitted: 0, completed: 0, failed: 0, canceled: 0, kills: 0, powerCuts: 0, cuts: 0 },
    ...{ pauses: 0, again: 0, effects: 0, repeated: 0, watched: 0, ticks: 0 },
  }
  const running = new Map<string, Running>()
  const observer = new TaskObserver()
  const sink = new Sink()
  const accepted = new Map<string, Known>()
  /** What went wrong outside of a step. */
  const problems: string[] = []
  let submissions = 0
  const tell = (line: string): void => trace?.(`${Math.round(time.now())} ${line}`)
  const anyOf = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]

  const doTask = (node: JournalNode, tasks: TasksFeature): Promise<unknown> =>
    tasks.work(
      'sum',
      async ({ id, input, attempt, checkpoint }, ctx) => {
        if (attempt > 1) totals.again += 1
        const wait = (ms: number): Promise<void> => new Promise((resolve) => node.port.timers.after(ms, resolve))
        let sum = typeof checkpoint === 'number' ? checkpoint : Number(input)
        const from = typeof checkpoint === 'number' ? 2 : 0
        for (let i = from; i < EFFECTS; i += 1) {
          await wait(random() * 300)
          if (!node.isUp()) return null
          const key = `${id}/e${i}`
          sum += await ctx.effect(`e${i}`, async (facts) => {
            try {
              sink.run(id, facts)
            } catch (error) {
              problems.push(textOf(error))
            }
            await wait(random() * 50)
            return i + 1
          })
          sink.recorded(key)
          if (i === 1 && Number(input) % 3 === 0) {
            await ctx.checkpoint(sum)
            tell(`${node.name} checkpoint of ${id} at ${sum}`)
          }
        }
        if (Number(input) % 17 === 5) throw new Error('it fails each time')
        return { sum, fence: ctx.fence.index }
      },
      { slots: 4 },
    )

  const start = async (name: string, expect?: number): Promise<void> => {
    const node = await mesh.start(name, { parts: PARTS, ...(expect !== undefined && { expect }) })
    const tasks = createTasks({
      ...{
        port: node.port,
        journal: node.journal,
        events: node.events,
        coordinator: node.coordinator,
        retainMs: 3_600_000,
      },
      call: async () => {
        throw new Error('tasks of this world call nobody')
      },
      member: node.seat,
      bytes: new TaskBytes({
        ...{
          port: node.port,
          journal: node.journal,
          coordinator: node.coordinator,
          openStore: undefined,
          awayMs: 60_000,
        },
        ...{ presenceOf: () => 'there', onPresence: () => () => {} },
        room: { fits: () => true, recordGrowth() {}, freeBytes: () => 0 },
      }),
      presenceOf: () => 'there',
      onPresence: () => () => {},
    })
    await node.port.serve(taskProtocol, tasks.handlers)
    running.set(name, { node, tasks })
    tasks.work('tick', () => null).catch((error: unknown) => tell(`${name} hears no clock: ${textOf(error)}`))
    doTask(node, tasks).catch((error: unknown) => tell(`${name} does not work: ${textOf(error)}`))
    tell(`${name} starts`)
  }
  const end = (name: string, power: boolean): void => {
    const one = running.get(name)
    if (one === undefined) return
    mesh.kill(one.node, power)
    running.delete(name)
  }

  const check = async (id: string, { input, isBroken, dependency }: Known, { tasks }: Running): Promise<void> => {
    const state = await tasks.get(id).ended({ timeoutMs: HEAL_MS })
    if (state.status === 'completed') {
      totals.completed += 1
      const right = JSON.stringify({ sum: input + 6, fence: state.record.fence?.index })
      if (isBroken || JSON.stringify(state.result) !== right)
        problems.push(`${id} is ${JSON.stringify(state.result)} and not ${right}`)
    } else if (state.status === 'failed') {
      totals.failed += 1
      const { reason } = state.record
      const isOfDependency =
        reason === 'dependency-failed' && observer.ends.get(dependency ?? '')?.status !== 'completed'
      const isRight = isBroken || isOfDependency || reason === 'workers-lost'
      if (!isRight) problems.push(`${id} failed: ${JSON.stringify(state.error)}`)
    } else if (state.status === 'canceled') totals.canceled += 1
    else problems.push(`${id} is ${state.status}`)
  }

  const submit = (): void => {
    const from = anyOf([...running.values()])
    if (from === undefined) return
    submissions += 1
    const input = submissions
    const before = anyOf([...accepted.keys()])
    const dependency = before !== undefined && random() < 0.3 ? before : undefined
    const known = { input, isBroken: input % 17 === 5, dependency, by: from.node.id }
    const task: SubmitTask = {
      id: `t${input}`,
      type: 'sum',
      input,
      priority: anyOf(['low', 'normal', 'high', 'critical'] as const) ?? 'normal',
      retry: { max: 2, delayMs: 200, maxDelayMs: 1_000 },
      ...(dependency !== undefined && {
        dependencies: [{ task_id: dependency, condition: random() < 0.5 ? 'finished' : 'completed' }],
      }),
    }
    from.tasks.submit(task).then(
      () => {
        totals.submitted += 1
        accepted.set(`t${input}`, known)
      },
      (error: unknown) => tell(`t${input} was not submitted: ${textOf(error)}`),
    )
  }

  const held: { readonly id: string; readonly handle: TaskHandle }[] = []
  const control = (): void => {
    const id = anyOf([...accepted.keys()])
    const known = id === undefined ? undefined : accepted.get(id)
    const by = [...running.values()].find(({ node }) => node.id === known?.by)
    if (id === undefined || by === undefined) return
    const handle = by.tasks.get(id)
    const what = random()
    const done =
      what < 0.6
        ? handle.pause('a test').then(() => {
            totals.pauses += 1
            held.push({ id, handle })
            time.after(random() * 2_000, () => void handle.resume().catch(() => {}))
          })
        : what < 0.8
          ? handle.cancel('a test')
          : handle.resume()
    done.catch((error: unknown) => {
      if (!isParleyError(error)) problems.push(textOf(error))
    })
  }

  const watch = (): void => {
    const id = anyOf([...accepted.keys()])
    const from = anyOf([...running.values()])
    if (id === undefined || from === undefined) return
    from.tasks
      .get(id)
      .ended({ timeoutMs: 5_000 })
      .then(
        () => {
          totals.watched += 1
        },
        () => {},
      )
  }

  const strike = async (): Promise<void> => {
    const down = NAMES.filter((name) => !running.has(name))
    const first = down[0]
    if (first !== undefined && (down.length > 1 || random() < 0.5)) return start(first)
    const what = random()
    if (what < 0.3) {
      const one = anyOf([...running.values()])
      if (one === undefined) return
      totals.cuts += 1
      tell(`${one.node.name} is cut off`)
      const others = [...running.values()].filter((other) => other !== one).map(({ node }) => node)
      mesh.cut([one.node], others)
      time.after(500 + 6_000 * random(), mesh.heal)
      return
    }
    const leader = mesh.leader()?.name
    const name = what < 0.6 && leader !== undefined ? leader : (anyOf(NAMES) ?? 'm0')
    const power = random() < 0.4
    totals.kills += 1
    if (power) totals.powerCuts += 1
    tell(`${name} ${power ? 'loses power' : 'is killed'}`)
    end(name, power)
  }

  const look = (): void => {
    for (const { node } of running.values()) {
      const at = node.seat()
      if (at !== undefined) observer.look(at.machine)
    }
    const [problem] = problems
    if (problem !== undefined) throw new Error(problem)
  }

  for (const name of NAMES) await start(name, NAMES.length)
  await mesh.untilLeader(20_000)
  await time.run(6_000)
  const clock = running.get('m0')
  if (clock === undefined) throw new Error('no node is there')
  await time.settled(startClock(clock.tasks), HEAL_MS)
  for (let step = 0; step < steps; step += 1) {
    submit()
    if (random() < 0.15) control()
    if (random() < 0.2) watch()
    if (random() < 0.12) await strike()
    await time.run(STEP_MS[0] + random() * (STEP_MS[1] - STEP_MS[0]))
    look()
  }

  tell('everything heals')
  for (const name of NAMES) if (!running.has(name)) await start(name)
  mesh.heal()
  await mesh.untilLeader(30_000)
  const resume = async (): Promise<void> => {
    for (const { id } of held) {
      const by = accepted.get(id)?.by
      const one = [...running.values()].find(({ node }) => node.id === by)
      await one?.tasks
        .get(id)
        .resume()
        .catch(() => {})
    }
  }
  await time.settled(resume(), HEAL_MS)
  const [first] = running.values()
  if (first === undefined) throw new Error('no node is there')
  const all = Promise.all([...accepted].map(([id, known]) => check(id, known, first)))
  try {
    await time.settled(all, HEAL_MS)
  } catch (error) {
    throw new Error(`${textOf(error)}; still open: ${observer.open().join(', ')}`)
  }
  // Its owner, whichever process that is by now, pauses it.
  const owner = running.get('m0') ?? first
  totals.ticks = await time.settled(checkClock(owner.tasks, owner.node.journal), HEAL_MS)
  look()
  totals.effects = sink.runs
  totals.repeated = sink.repeated
  for (const name of NAMES) end(name, false)
  return totals
}
