/**
 * Plans are made one after another while coordinator, agents and the node that makes them are killed at random: each plan ends
 * completed, its tasks are done once, by who was directed, and the log of each voter says the same of it to a reader with rules of
 * its own. Keeps no state.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { JOURNAL_FOLDER } from '../../../node/store/known-stores.ts'
import type { Scenario } from '../scenarios.ts'
import { TASK_TYPE } from '../tasks/plan.ts'
import { END_MS, onStage, told, victims } from '../tasks/playing.ts'
import { REQUESTER, releaseOf, type TaskStage } from '../tasks/stage.ts'
import type { PlanEnd } from '../tasks/verbs.ts'
import { checkPlanLogs } from './check-plans.ts'
import { type PlanBooks, WAYS } from './plan-books.ts'

const PAUSE_MS = [700, 2_000] as const
const DOWN_MS = [200, 900] as const
/** Of one plan. */
const TASKS = 4
/** Of so many some are under way when their coordinator is killed. */
const MANY = 50
/** For each task: 500 of them take two minutes. */
const EACH_MS = 240
const LEAST_MS = 10_000

/** So that the log of each voter has all entries. */
const NEVER = 1_000_000

const planId = (n: number): string => `plan-${n}`
const taskOf = (n: number, i: number): string => `plan-${n}-task-${i}`

const makeAll = async ({ node }: TaskStage, plans: number, overMs: number): Promise<void> => {
  for (let n = 0; n < plans; n += 1) {
    const tasks = Array.from({ length: TASKS }, (_, i) => ({ id: taskOf(n, i), input: n * TASKS + i }))
    const plan = { id: planId(n), type: TASK_TYPE, tasks }
    for (let isMade = false; !isMade; )
      // The node that makes them is killed too: the same plan again is the same one.
      isMade = await node(REQUESTER)
        .ask('makePlan', plan)
        .then(
          () => true,
          () => delay(50, false),
        )
    await delay(overMs / plans)
  }
}

/** @returns what is wrong with how it came to its end */
const wrongPlan = ({ id, outcome, reason, moves, done }: PlanEnd): string[] => {
  const wrong: string[] = []
  if (outcome !== 'completed') wrong.push(`${id} is ${outcome} (${reason})`)
  for (const { trigger, before, state } of moves)
    if (before !== undefined && WAYS[`${before} ${trigger}`] !== state)
      wrong.push(`${id}: ${before} ${trigger} ${state}`)
  // A task that ended before the plan was made anew is in no newer one.
  for (const { task, agent, by } of done)
    if (agent !== undefined && by !== undefined && agent !== by)
      wrong.push(`${task} was done by ${by}, not by ${agent}`)
  return wrong
}

/** @returns where the log says otherwise than the nodes */
const wrongLog = (books: PlanBooks, ends: readonly PlanEnd[]): string[] => {
  const { outcomes, counts } = books
  const wrong = books.open().map((id) => `the log says that the plan ${id} is still open`)
  if (counts.made !== ends.length) wrong.push(`the log says that ${counts.made} plans were made, not ${ends.length}`)
  for (const { id, outcome } of ends)
    if (outcomes.get(id) !== outcome) wrong.push(`${id} is ${outcome}, and ${outcomes.get(id)} in the log`)
  return wrong
}

export const plansKilled = (tasks: number): Scenario => ({
  name: 'plans-killed',
  about:
    'coordinator, agents and the maker of plans are killed at random: plans end, tasks are done once by who was directed',
  play: ({ seed, say }) =>
    onStage({ seed, release: releaseOf(TASK_TYPE), snapshotEvery: NEVER }, async (stage) => {
      const { random, outside, nodes } = stage
      const plans = Math.ceil(tasks / TASKS)
      const forMs = Math.max(LEAST_MS, tasks * EACH_MS)
      let kills = 0
      const making = makeAll(stage, plans, forMs)
      const endsAt = performance.now() + forMs
      while (performance.now() < endsAt) {
        await delay(random.between(...PAUSE_MS))
        const chosen = await victims(stage)
        await Promise.all(chosen.map((node) => node.kill()))
        kills += chosen.length
        await delay(random.between(...DOWN_MS))
        for (const node of chosen) await node.start()
      }
      await making
      const ids = Array.from({ length: plans }, (_, n) => planId(n))
      const ends = await stage.node(REQUESTER).ask('planEnds', { ids, timeoutMs: END_MS })
      const wrong = ends.flatMap(wrongPlan)
      const resumed = ends.filter(({ epochs }) => epochs > 1).length
      say(`${kills} kills, ${resumed} of ${plans} plans were gone on with by another coordinator`)
      if (resumed === 0 && plans >= MANY) wrong.push('no plan was gone on with by another coordinator')
      const voters = nodes.filter(({ isVoter }) => isVoter)
      await Promise.all(nodes.map((node) => node.terminate()))
      const { books, wrong: found } = await checkPlanLogs(voters.map(({ dataDir }) => join(dataDir, JOURNAL_FOLDER)))
      wrong.push(...found, ...wrongLog(books, ends))
      const { counts } = books
      const sum = (of: (end: PlanEnd) => number): number => ends.reduce((all, one) => all + of(one), 0)
      return {
        figures: {
          ...{ plans, tasks: plans * TASKS, kills, resumed },
          ...{ revisions: sum(({ revision }) => revision), adjusted: sum(({ adjusted }) => adjusted) },
          ...{ entries: counts.entries, moves: counts.moves, 'changes refused': counts.refused },
          ...{ directives: counts.directives, 'logs checked': voters.length },
          ...{ runs: outside.runs, 'without duplicates': outside.distinct() },
        },
        violations: told([...outside.wrong, ...wrong]),
      }
    }),
})
