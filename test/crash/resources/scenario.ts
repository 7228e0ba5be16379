/**
 * Programs and tasks use what nodes give, while coordinator, workers and holders are killed at random: nobody ever works with more
 * than its node has, all tasks end, all is given back, and the log of a voter says the same to a reader with rules of its own.
 * Keeps no state.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { JOURNAL_FOLDER } from '../../../node/store/known-stores.ts'
import { until } from '../../support/until.ts'
import type { Scenario } from '../scenarios.ts'
import { END_MS, onStage, persist, told, victims } from '../tasks/playing.ts'
import { REQUESTER, releaseOf, type TaskNode, type TaskStage } from '../tasks/stage.ts'
import { CAPACITY, NEEDY_TYPE } from '../tasks/works.ts'
import { checkJournal } from './journal-checker.ts'

const PAUSE_MS = [700, 2_000] as const
const DOWN_MS = [200, 900] as const
/** For each task: 500 of them take two minutes. */
const EACH_MS = 240
const LEAST_MS = 10_000
/** So that the log of each voter has all entries. */
const NEVER = 1_000_000

const needyId = (n: number): string => `needy-${n}`

const submitAll = async ({ node }: TaskStage, tasks: number, overMs: number): Promise<void> => {
  for (let n = 0; n < tasks; n += 1) {
    const requirements = { resources: { cpu: 1 + (n % 3) } }
    const task = { id: needyId(n), type: NEEDY_TYPE, input: n, requirements }
    await persist(() => node(REQUESTER).ask('submitOne', task))
    await delay(overMs / tasks)
  }
}

/** All that is there uses what others give. */
const hold = (nodes: readonly TaskNode[]): Promise<unknown> =>
  Promise.all(nodes.map((node) => node.ask('hold').catch(() => {})))

export const resourcesKilled = (tasks: number): Scenario => ({
  name: 'resources-killed',
  about: 'coordinator, owners and holders of resources are killed at random while tasks and programs use them',
  play: ({ seed, say }) => {
    const settings = { snapshotEvery: NEVER, more: { resources: { capacity: { ...CAPACITY } } } }
    return onStage({ seed, release: releaseOf(NEEDY_TYPE), ...settings }, async (stage) => {
      const { random, outside, nodes } = stage
      const counts = { kills: 0 }
      const forMs = Math.max(LEAST_MS, tasks * EACH_MS)
      await hold(nodes)
      const submitting = submitAll(stage, tasks, forMs)
      const endsAt = performance.now() + forMs
      while (performance.now() < endsAt) {
        await delay(random.between(...PAUSE_MS))
        const chosen = await victims(stage)
        await Promise.all(chosen.map((node) => node.kill()))
        counts.kills += chosen.length
        await delay(random.between(...DOWN_MS))
        for (const node of chosen) await node.start()
        await hold(chosen)
      }
      await submitting
      const requester = stage.node(REQUESTER)
      const ids = Array.from({ length: tasks }, (_, n) => needyId(n))
      const ends = await requester.ask('ends', { ids, timeoutMs: END_MS })
      const had = await Promise.all(nodes.map((node) => node.ask('endHolding')))
      const isFree = async (): Promise<boolean> => (await requester.ask('openAllocations')).length === 0
      await until('all is given back', isFree, END_MS, 100)
      const wrong = ends.flatMap(({ id, status, reason }) =>
        status === 'completed' ? [] : [`${id} is ${status} (${reason})`],
      )
      say(`${counts.kills} kills, ${had.reduce((sum, { had: one }) => sum + one, 0)} allocations of programs`)
      const voters = nodes.filter(({ isVoter }) => isVoter)
      await Promise.all(nodes.map((node) => node.terminate()))
      const read = await Promise.all(voters.map(({ dataDir }) => checkJournal(join(dataDir, JOURNAL_FOLDER))))
      const [longest] = read.toSorted((a, b) => b.entries - a.entries)
      for (const one of read) wrong.push(...one.wrong)
      if (longest === undefined || longest.grants < tasks)
        wrong.push(`the log says that ${longest?.grants} were granted`)
      const left = longest?.open ?? []
      if (left.length > 0) wrong.push(`the log says that ${left.join(', ')} are still open`)
      return {
        figures: {
          ...{ tasks, ...counts, completed: ends.filter(({ status }) => status === 'completed').length },
          ...{ 'had by programs': had.reduce((sum, { had: one }) => sum + one, 0) },
          ...{ 'denied to programs': had.reduce((sum, { denied }) => sum + denied, 0) },
          ...{ runs: outside.runs, 'without duplicates': outside.distinct() },
          ...{ entries: longest?.entries ?? 0, granted: longest?.grants ?? 0, expired: longest?.expired ?? 0 },
          losses: ends.reduce((sum, { losses }) => sum + losses, 0),
        },
        violations: told([...outside.wrong, ...wrong]),
      }
    })
  },
})
