/** A member that speaks for others: as the assignee of their tasks, as who submitted them, as the coordinator. T1, T2. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import { harmOfTasks } from '../../judge.ts'
import { batchBytes, gossipTopic } from '../../raw/signed.ts'
import type { Fence, SeenTask } from '../../raw/tasks.ts'
import { count } from '../scene.ts'
import { HONEST, inWorkshop, judge, type Workshop } from './workshop.ts'

const TAKES_MS = 300
const LIE = 'a lie'
const ENDED_MS = 20_000
const NO_RETRY = { max: 0, delayMs: 0, maxDelayMs: 0 }
/** Of other people's tasks, looked at in one round. */
const TASKS_AT_ONCE = 6
const PAUSE_MS = 50
const HIGHEST = Number.MAX_SAFE_INTEGER

/** Some that are in work, the newest first, and one that has ended. */
const targets = async ({ hand, attacker, tried }: Workshop): Promise<SeenTask[]> => {
  const others = (await hand.tasks()).filter(({ record }) => record.submitter !== attacker.id).toReversed()
  const inWork = others.filter(({ record }) => /assigned|running/.test(record.status)).slice(0, TASKS_AT_ONCE)
  count(tried, 'tasks of others that were in work', inWork.length)
  return [...inWork, ...others.filter(({ record }) => record.status === 'completed').slice(0, 1)]
}

const FIRST_REPORTS = [
  { do: 'start' },
  { do: 'effect', name: 'seal', key: '', value: LIE },
  { do: 'checkpoint', value: LIE },
  { do: 'complete', result: LIE },
  { do: 'fail', error: { code: 'APP001', message: LIE }, retry: false },
  { do: 'release', reason: LIE },
]
const CURSOR = { createdAt: 0, positions: [] }
const SOMEBODY = '12D3KooWEvrLNG1sPkYgbmNPGPQ9X6HHKsBfwKR7YbTdYbBb7eQ2'
/** A value that nodes hold, it says. */
const HELD_LIE = { 'parley:bytes': { hash: '0'.repeat(64), size: 100_000, form: 'json', holders: [SOMEBODY] } }
const LATER_REPORTS = [
  { do: 'sleep', name: 'nap', until: HIGHEST, stays: false },
  { do: 'wait', name: 'nothing', status: 'input_required' },
  { do: 'listen', name: 'nothing', topic: 'tasks.lies', cursor: CURSOR },
  { do: 'complete', result: HELD_LIE },
]

/** All that an attempt may report; by the command of level 1, what that takes. */
const reports = (id: string, fence: Fence, level: 1 | 2 = 2): readonly object[] =>
  (level === 1 ? FIRST_REPORTS : [...FIRST_REPORTS, ...LATER_REPORTS]).map((one) => ({ ...one, id, fence }))

/** The true one, older ones, and some that nobody ever gave. */
const fencesOf = ({ record: { fence } }: SeenTask, epoch: number): readonly Fence[] => {
  const { term, index } = fence ?? { term: epoch, index: 1 }
  return [
    { term, index },
    { term, index: index - 1 },
    { term, index: index + 1 },
    { term: term - 1, index },
    { term: term + 1, index },
    { term: HIGHEST, index: HIGHEST },
    { term: 0, index: 0 },
  ]
}

/** Progress of a task of somebody else: events say what their publisher says, and decide nothing. */
const forgeProgress = async ({ town, attacker }: Workshop, id: string, first: number): Promise<void> => {
  const status = { task_id: id, status: 'failed', progress: 1, metrics: {}, timestamp: Date.now(), note: LIE }
  const events = [{ topic: `tasks.status.${id}`, data: status, version: '1.0.0' }]
  const batch = await batchBytes(attacker.signer, { mesh: town.mesh, word: 'tasks', epoch: 1, first, events })
  await attacker.libp2p.services.gossip.publish(gossipTopic(town.mesh, 'tasks'), batch).catch(() => {})
}

const OWN = 'mallory'
/** A task of its own, given to itself: an attempt that was replaced counts no more, of nobody. */
const replayOwnFences = async ({ hand, attacker, tried, reached, epoch }: Workshop): Promise<void> => {
  const scene = { tried, reached }
  const offers = [{ type: OWN, slots: 4 }]
  judge(scene, 'registering', await hand.change({ do: 'register', offers, incarnation: 1 }), ['ok'])
  const id = `mallory-${attacker.id.slice(-8)}`
  const retry = { max: 1_000, delayMs: 0, maxDelayMs: 0 }
  const task = { id, type: OWN, priority: 1, retry, input: null, digest: '00' }
  judge(scene, 'submitting', await hand.change({ do: 'submit', tasks: [task] }), ['ok'])
  const given = async (): Promise<SeenTask | undefined> => {
    for (let i = 0; i < 100; i += 1) {
      const found = (await hand.tasks()).find((one) => one.id === id && one.record.status === 'assigned')
      if (found !== undefined) return found
      await delay(PAUSE_MS)
    }
    return undefined
  }
  const old: Fence[] = []
  for (let round = 0; round < 3; round += 1) {
    const { record: { fence } = {} } = (await given()) ?? {}
    if (fence === undefined) {
      reached.push('its own task was not given to it')
      return
    }
    for (const one of old)
      judge(scene, 'a report under an old fence of its own', await hand.change(...reports(id, one)), ['STA002'])
    old.push(fence)
    judge(scene, 'giving back', await hand.change({ do: 'release', id, fence, reason: 'again' }), ['ok'])
  }
  judge(scene, 'ending its own', await hand.change({ do: 'cancel', id }), ['ok'])
  judge(scene, 'a report of what has ended', await hand.change(...reports(id, { term: epoch, index: 1 })), ['STA002'])
  judge(scene, 'withdrawing what it is not', await hand.change({ do: 'withdraw', registration: 1 }), ['STA002'])
}

const impostor: Attack = {
  name: 'task-impostor',
  line: 'T1',
  by: 'member',
  about: 'results, effects, checkpoints and progress for tasks of others, under true, old and invented fences',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, epoch } = workshop
        await replayOwnFences(workshop)
        const endsAt = performance.now() + seconds * 1_000
        for (let round = 1; performance.now() < endsAt; round += 1) {
          for (const task of await targets(workshop)) {
            const all = (level: 1 | 2) => fencesOf(task, epoch).flatMap((fence) => reports(task.id, fence, level))
            const draws = fencesOf(task, epoch).flatMap((fence) => [
              { do: 'draw', id: task.id, fence, number: 1, amounts: { tokens: HIGHEST } },
              { do: 'draw', id: task.id, fence, number: 1, amounts: {}, back: { tokens: HIGHEST } },
            ])
            const valid = draws.filter(({ fence: { term, index } }) => term >= 0 && index >= 0)
            judge(workshop, 'drawing of a budget of somebody else', await hand.spendTasks(...valid), ['STA002'])
            const outcomes = [...(await hand.change(...all(2))), ...(await hand.changeFirst(...all(1)))]
            judge(workshop, 'a report for a task of somebody else', outcomes, ['STA002'])
            await forgeProgress(workshop, task.id, round)
            count(workshop.tried, 'progress in the name of others')
          }
          await delay(PAUSE_MS)
        }
      },
      { takesMs: TAKES_MS },
    ),
}

/** What its submitter may do, and what the coordinator does. */
const controls = (id: string, epoch?: number): readonly object[] =>
  [
    { do: 'pause', reason: LIE },
    { do: 'cancel', reason: LIE },
    { do: 'signal', name: 'answer', value: LIE },
    { do: 'resume', checkpoint: LIE },
  ].map((one) => ({ ...one, id, ...(epoch !== undefined && { epoch }) }))

const decisions = ({ id, record }: SeenTask, epoch: number, self: string): readonly object[] => {
  const { fence = { term: epoch, index: 1 }, worker = self, registration = 1 } = record
  const tasks = [{ id, endedAt: record.changedAt }]
  return [
    { do: 'place', id, worker: self, registration },
    { do: 'settle', id },
    { do: 'lose', id, fence, reason: LIE },
    { do: 'wake', id },
    { do: 'expire', id },
    { do: 'explain', id, reason: LIE },
    { do: 'time-out', id, fence },
    { do: 'hear', id, name: 'nothing', heard: { missed: { publisher: SOMEBODY, epoch: 1, from: 1, to: 2 } } },
    { do: 'dismiss', worker, registration },
    { do: 'archive', tasks },
    { do: 'forget', tasks },
  ].map((one) => ({ ...one, epoch }))
}

const controller: Attack = {
  name: 'task-control',
  line: 'T2',
  by: 'member',
  about: 'pauses, cancels and signals tasks of others, asks for control without coordinate, decides as the coordinator',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, epoch, meshId, attacker } = workshop
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          for (const task of await targets(workshop)) {
            const { id, record } = task
            // One that ended a moment ago says so first.
            const ended = /completed|failed|canceled|rejected/.test(record.status)
            const own = await hand.change(...controls(id))
            judge(workshop, 'controlling a task of somebody else', own, ended ? ['STA003'] : ['SEC002', 'STA003'])
            for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST]) {
              const isNow = at === epoch
              const all = [...controls(id, at), ...decisions(task, at, attacker.id)]
              const refused = isNow ? ['SEC002', 'STA003'] : ['STA002', 'STA003']
              judge(workshop, `deciding of ${isNow ? 'this' : 'another'} epoch`, await hand.change(...all), refused)
              const given = { do: 'place', id, worker: attacker.id, registration: 1, allocation: 'mallory', epoch: at }
              judge(workshop, 'placing a task with what it requires', await hand.changeLast(given), refused)
            }
            for (const action of ['pause', 'resume', 'cancel', 'signal']) {
              const asked = await hand.task('control', { meshId, id, action, name: 'answer', value: LIE })
              judge(workshop, 'control without the capability', [asked], ['SEC002'])
            }
          }
          await delay(PAUSE_MS)
        }
      },
      { takesMs: TAKES_MS, claims: { caps: [] } },
    ),
}

const PARENT = 'parent'
const SQUAT = [
  ['a child of a task of somebody else', (id: string) => ({ id: `${id}.part`, parent: id })],
  ['an id below a task of somebody else', (id: string) => ({ id: `${id}.part` })],
  ['a grandchild of a task of somebody else', (id: string) => ({ id: `${id}.part.more`, parent: `${id}.part` })],
  ['a task whose parent is of somebody else', (id: string) => ({ id: `mallory-${id}`, parent: id })],
] as const

const isOpen = async ({ hand }: Workshop, id: string): Promise<boolean> =>
  (await hand.tasks()).some((one) => one.id === id && /assigned|running|queued/.test(one.record.status))

/** Honest workers submit `part` in each of their tasks, after a while: somebody else tries to be there first. */
const squatter: Attack = {
  name: 'task-squatter',
  line: 'T3',
  by: 'member',
  about: 'takes the ids of children that workers of others are about to submit',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, attacker, submitter, reached } = workshop
        await submitter.ask('beginMoreTasks', { type: PARENT, everyMs: 200 })
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          const parents = (await hand.tasks()).filter(
            ({ record }) => record.type === PARENT && /assigned|running/.test(record.status),
          )
          for (const { id } of parents.filter(({ record }) => record.submitter !== attacker.id))
            for (const [what, squat] of SQUAT) {
              const task = { type: OWN, priority: 1, retry: NO_RETRY, input: null, digest: '00', ...squat(id) }
              const outcome = await hand.change({ do: 'submit', tasks: [task] })
              // One that is there already is no news, nor is one whose parent had ended.
              const isLate = outcome.includes('ok') && !(await isOpen(workshop, id))
              judge(workshop, isLate ? 'below a task that has ended' : what, outcome, [
                'SEC002',
                'STA003',
                ...(isLate ? ['ok'] : []),
              ])
            }
          await delay(PAUSE_MS)
        }
        const served = await submitter.ask('endMoreTasks', ENDED_MS)
        count(workshop.tried, 'honest tasks with a child', served.submitted)
        reached.push(...harmOfTasks({ slowestMs: ENDED_MS }, served))
      },
      {
        prepare: ({ worker }) => worker.ask('work', { type: PARENT, slots: 16, takesMs: TAKES_MS, child: HONEST }),
      },
    ),
}

export const impostors: readonly Attack[] = [impostor, controller, squatter]
