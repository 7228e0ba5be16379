/**
 * From one release to the next with tasks running: seven processes of the older one, each in turn stopped or killed and started
 * from this tree with the data that it has. While an old voter is there, what needs all of them is refused, or waits; then it works.
 * The way back is closed. Keeps no state.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { until } from '../../support/until.ts'
import type { Scenario } from '../scenarios.ts'
import type { Verdict } from '../stage.ts'
import { LARGE_TYPE } from './large.ts'
import { noOlderRelease, provideOlderProcess } from './older-release.ts'
import { TASK_TYPE } from './plan.ts'
import { END_MS, judge, keepSubmitting, onStage, quantile, told } from './playing.ts'
import { REQUESTER, type Release, releaseOf, type TaskNode, type TaskStage } from './stage.ts'

import { SCHEDULED_TYPE, SLEEP_TYPE } from './works.ts'

const PROGRESS_MS = 10_000
const BETWEEN_MS = [300, 1_500] as const
const AGREE_MS = 20_000
/** Until all voters are known to be of this release: a voter says what it has each few seconds. */
const LEVEL_MS = 30_000
const LARGE_BYTES = 40_000
const NAP = { id: 'nap-1', type: SLEEP_TYPE, input: 200 }
const FAR_MS = 3_600_000

/** Of tasks that go on being submitted, so that there are always some open. State: how many there are. */
interface Load {
  /** @returns how many there were */
  end(): Promise<number>
}

const startLoad = (stage: TaskStage, tasks: number, seed: number): Load => {
  let submitted = 0
  let isOver = false
  const run = async (): Promise<void> => {
    while (!isOver) {
      await keepSubmitting(stage, { tasks, seed, from: submitted })
      submitted += tasks
      while (!isOver && stage.outside.completed.size < submitted - tasks) await delay(100)
    }
  }
  const running = run()
  return {
    async end() {
      isOver = true
      await running
      return submitted
    },
  }
}

/** The coordinator is the last but one: an old voter is left when it goes, or what is no voter. */
const orderOf = async ({ random, nodes, coordinator }: TaskStage): Promise<TaskNode[]> => {
  const leader = await until('a node coordinates', coordinator, END_MS, 20)
  const rest = nodes.filter((node) => node !== leader)
  const order: TaskNode[] = []
  while (rest.length > 0) order.push(...rest.splice(random.below(rest.length), 1))
  return order.toSpliced(-1, 0, leader)
}

/** All voters have the same, whatever they are of. @returns what is wrong */
const disagreement = async ({ nodes, outside }: TaskStage): Promise<string | undefined> => {
  const voters = nodes.filter(({ isVoter, isThere }) => isVoter && isThere)
  const states = () => Promise.all(voters.map((node) => node.ask('journal')))
  try {
    await outside.hold(() =>
      until(
        'all voters have the same',
        async () => {
          const [first, ...others] = await states()
          return others.every(({ version, digest }) => version === first?.version && digest === first.digest)
        },
        AGREE_MS,
        100,
      ),
    )
    return undefined
  } catch {
    const all = (await states()).map(({ version, digest }, i) => `${voters[i]?.name} ${version} ${digest.slice(0, 8)}`)
    return `the voters have different journals: ${all.join(', ')}`
  }
}

/** What an upgraded node is answered to what all voters have to know. @returns what is wrong */
const refused = async (node: TaskNode, n: number): Promise<string[]> => {
  const at = Date.now() + FAR_MS
  const answers = {
    'a schedule': await node.ask('schedule', { id: `early-${n}`, at, task: { type: SCHEDULED_TYPE } }),
    'a large input': await node.ask('submitBytes', { id: `early-${n}`, bytes: LARGE_BYTES }),
  }
  return Object.entries(answers).flatMap(([what, refusal]) => {
    const { code, reason, hint, message } = refusal ?? {}
    if (code === 'STA003' && reason === 'level' && hint?.includes('upgrade all voters') === true) return []
    return [`${what} was answered with ${code} ${reason}: ${message} (${hint}) while voters are older`]
  })
}

/** It works now. @returns what is wrong, and how long it took */
const works = async (stage: TaskStage): Promise<{ wrong: string[]; ms: number }> => {
  const requester = stage.node(REQUESTER)
  const at = performance.now()
  const once = { id: 'later', at: Date.now() + 1, task: { type: SCHEDULED_TYPE } }
  await until('a schedule is taken', async () => (await requester.ask('schedule', once)) === undefined, LEVEL_MS, 200)
  const ms = performance.now() - at
  const wrong: string[] = []
  const large = { id: 'large-later', bytes: LARGE_BYTES, seed: 7 }
  await requester.ask('submitLarge', large)
  await requester.ask('readLarge', { id: large.id, timeoutMs: END_MS })
  const [nap] = await requester.ask('ends', { ids: [NAP.id], timeoutMs: END_MS })
  if (nap?.status !== 'completed') wrong.push(`the task that sleeps is ${nap?.status} (${nap?.reason})`)
  await until('a task of the schedule is done', () => stage.outside.has('later.'), END_MS)
  return { wrong, ms }
}

const SAY_MS = 30_000
const MUST_SAY = 'which this version does not know'

/** A process of the older release on what this one has written: it says why it takes no part, and harms nothing. */
const goBack = async (stage: TaskStage, older: Release, newer: Release): Promise<string[]> => {
  const leader = await stage.coordinator()
  const node = stage.nodes.find((one) => one.isVoter && one !== leader)
  if (node === undefined) throw new Error('no voter is left')
  await node.terminate()
  const known = (await readFile(node.logFile, 'utf8')).length
  node.release = older
  await node.start()
  const wrong: string[] = []
  const saysWhy = async (): Promise<boolean> => (await readFile(node.logFile, 'utf8')).slice(known).includes(MUST_SAY)
  await until('it says why it has no part', saysWhy, SAY_MS, 100).catch(() => wrong.push(`${node.name} says nothing`))
  const { role } = await node.ask('status')
  if (role !== 'none') wrong.push(`${node.name} of the older release is a ${role}`)
  await node.terminate()
  node.release = newer
  await node.start()
  await until('it has its seat again', async () => (await node.ask('status')).role === 'voter', END_MS, 100)
  return wrong
}

interface Change {
  readonly isKilled: boolean
  /** Milliseconds until something got on: from the signal, from its end, from its start as another release. Undefined: too long. */
  readonly gaps: readonly (number | undefined)[]
}

const upgradeOne = async ({ outside }: TaskStage, node: TaskNode, isKilled: boolean): Promise<Change> => {
  const gaps = [outside.progress(PROGRESS_MS)]
  const how = isKilled ? await node.kill() : await node.terminate()
  if (how !== undefined && how !== 0) throw new Error(`${node.name} ended with ${how}`)
  gaps.push(outside.progress(PROGRESS_MS))
  await node.start()
  gaps.push(outside.progress(PROGRESS_MS))
  return { isKilled, gaps: await Promise.all(gaps) }
}

/** Before all voters are upgraded there is a way back, and forth again. @returns what is wrong */
const backAndForth = async (stage: TaskStage, node: TaskNode, older: Release, newer: Release): Promise<string[]> => {
  const wrong: string[] = []
  for (const release of [older, newer]) {
    node.release = release
    const { gaps } = await upgradeOne(stage, node, false)
    if (gaps.includes(undefined)) wrong.push(`nothing got on for ${PROGRESS_MS} ms after ${node.name} went back`)
    await until('it has its seat', async () => (await node.ask('status')).role === 'voter', END_MS, 100)
    const differs = await disagreement(stage)
    if (differs !== undefined) wrong.push(`after ${node.name} went back: ${differs}`)
  }
  return wrong
}

const playUpgrade = async (
  stage: TaskStage,
  older: Release,
  { tasks, seed, isKilling }: { tasks: number; seed: number; isKilling: boolean },
  say: (line: string) => void,
): Promise<Verdict> => {
  const { random, outside } = stage
  const newer = releaseOf(TASK_TYPE, LARGE_TYPE, SLEEP_TYPE, SCHEDULED_TYPE)
  const load = startLoad(stage, tasks, seed)
  await until('some tasks are done', () => outside.completed.size > tasks / 2, END_MS, 20)
  const order = await orderOf(stage)
  const firstVoter = order.findIndex(({ isVoter }) => isVoter)
  const lastVoter = order.findLastIndex(({ isVoter }) => isVoter)
  const wrong: string[] = []
  const changes: Change[] = []
  const killed = new Set(isKilling ? [random.below(3), 3 + random.below(3)] : [])
  for (const [i, node] of order.entries()) {
    await delay(random.between(...BETWEEN_MS))
    node.release = node.name === REQUESTER ? { ...newer, types: [] } : newer
    const isKilled = isKilling && (killed.has(i) || random.next() < 0.5)
    const change = await upgradeOne(stage, node, isKilled)
    changes.push(change)
    if (change.gaps.includes(undefined)) wrong.push(`nothing got on for ${PROGRESS_MS} ms after ${node.name} went`)
    const leader = await until('a node coordinates', stage.coordinator, END_MS, 20)
    say(
      `${node.name} ${isKilled ? 'killed' : 'stopped'} and upgraded, progress after ${change.gaps.map((ms) => ms?.toFixed(0)).join(', ')} ms; ${leader.name} coordinates`,
    )
    const differs = await disagreement(stage)
    if (differs !== undefined) wrong.push(`after ${node.name}: ${differs}`)
    if (i === firstVoter) {
      wrong.push(...(await backAndForth(stage, node, older, newer)))
      say(`${node.name} went back to the release before, and forth again`)
    }
    if (i === 0 && node.name !== REQUESTER) await node.ask('submitOne', NAP)
    if (i < lastVoter) wrong.push(...(await refused(node, i)))
    if (i === lastVoter - 1 && outside.has(NAP.id)) wrong.push('a task slept although a voter is older')
  }
  const after = await works(stage)
  say(`all are upgraded: what needs all voters works after ${after.ms.toFixed(0)} ms`)
  const count = await load.end()
  const judged = await judge(stage, count)
  say(`${count} tasks have ended`)
  wrong.push(...after.wrong, ...(await goBack(stage, older, newer)))
  say('one went back and came again')
  const differs = await disagreement(stage)
  if (differs !== undefined) wrong.push(`after the way back: ${differs}`)
  const gaps = changes.flatMap(({ gaps: some }) => some.filter((ms) => ms !== undefined)).toSorted((a, b) => a - b)
  return {
    figures: {
      ...{ tasks: count, ...judged.figures, changes: changes.length },
      killed: changes.filter(({ isKilled }) => isKilled).length,
      ...{ 'progress p50 ms': quantile(gaps, 0.5), 'progress p99 ms': quantile(gaps, 0.99) },
      'works after ms': after.ms,
    },
    violations: told([...judged.wrong, ...wrong]),
  }
}

/** @param isKilling processes are killed instead of stopped, at least two of them */
export const upgrade = (tasks: number, isKilling: boolean): Scenario => ({
  name: isKilling ? 'tasks-upgrade-killed' : 'tasks-upgrade',
  about: `seven processes of the release before, each in turn ${isKilling ? 'killed' : 'stopped'} and started from this tree`,
  skip: noOlderRelease,
  async play({ seed, say }) {
    const folder = await mkdtemp(join(tmpdir(), 'parley-older-'))
    try {
      const program = pathToFileURL(await provideOlderProcess(folder, say)).href
      const older = { program, types: [TASK_TYPE] }
      return await onStage({ seed, release: older }, (stage) =>
        playUpgrade(stage, older, { tasks, seed, isKilling }, say),
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
})
