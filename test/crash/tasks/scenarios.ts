/** The scenarios of tasks, and how they are judged. Keeps no state. */
import { setTimeout as delay } from 'node:timers/promises'
import { COPIES } from '../../../protocols/task/bytes/holder-requests.ts'
import { MAX_STORED_BYTES } from '../../../protocols/task/bytes/stored-bytes.ts'
import { until } from '../../support/until.ts'
import { budgetsKilled } from '../budgets/scenario.ts'
import { plansKilled } from '../plans/scenario.ts'
import { resourcesKilled } from '../resources/scenario.ts'
import type { Scenario } from '../scenarios.ts'
import { eventWaits } from './event-waits.ts'
import { hashOf, largeBytes, resultSeed } from './large.ts'
import { EFFECTS } from './plan.ts'
import { END_MS, judge, keepSubmitting, onStage, quantile, told, victims } from './playing.ts'
import { sameDecisions } from './same-decisions.ts'
import { schedules } from './schedules.ts'
import { REQUESTER, type TaskNode, VOTERS } from './stage.ts'
import { upgrade } from './upgrade.ts'

/** DESIGN.md, section 8. */
const P99_MS = 2_000
const PAUSE_MS = [700, 2_000] as const
const DOWN_MS = [200, 900] as const
/** The quorum was gone, and is there again: until work goes on. */
const QUORUM_MS = 2_000
const QUIET_MS = 3_000

/** @param isTimed whether the time that a takeover takes is judged: not where the machine has other work */
const kills = (tasks: number, isTimed: boolean): Scenario => ({
  name: 'tasks-killed',
  about: 'coordinator, workers and requester of tasks are killed at random, and all three at once',
  play: ({ seed, say }) =>
    onStage({ seed }, async (stage) => {
      const { outside, random } = stage
      const submitting = keepSubmitting(stage, { tasks, seed })
      let isSubmitted = false
      void submitting.then(() => {
        isSubmitted = true
      })
      const gaps: number[] = []
      /** Until a task of a worker that was killed gets on elsewhere. */
      const takeovers: number[] = []
      const counts = { kills: 0, 'all three': 0 }
      const wrong: string[] = []
      const startedAt = performance.now()
      while (outside.distinct() < tasks * EFFECTS || !isSubmitted) {
        if (performance.now() - startedAt > tasks * 1_000 + END_MS) break
        await delay(random.between(...PAUSE_MS))
        const chosen = await victims(stage)
        if (chosen.length === 0) continue
        // Where the requester is dead and nothing is left to do, there is no progress to wait for.
        const left = tasks * EFFECTS - outside.distinct()
        const orphans = new Set(chosen.flatMap(({ name }) => [...outside.tasksOf(name)]))
        await Promise.all(chosen.map((node) => node.kill()))
        // What they said before they died has come by now.
        const gap = outside.progress(10_000)
        if (orphans.size > 0)
          void outside.takenOver(orphans, 10_000).then((ms) => ms !== undefined && takeovers.push(ms))
        counts.kills += chosen.length
        if (chosen.length === 3) counts['all three'] += 1
        const ms = await gap
        const isOver = tasks * EFFECTS - outside.distinct() < 100 && left < 200
        if (ms !== undefined) gaps.push(ms)
        else if (!isOver && isSubmitted)
          wrong.push(`nothing got on for 10 s after ${chosen.map(({ name }) => name).join(', ')} were killed`)
        await delay(random.between(...DOWN_MS))
        for (const node of chosen) await node.start()
      }
      await submitting
      say(`${counts.kills} kills, ${outside.runs} runs`)
      const judged = await judge(stage, tasks)
      const sorted = gaps.toSorted((a, b) => a - b)
      const taken = takeovers.toSorted((a, b) => a - b)
      const p99 = quantile(sorted, 0.99)
      if (isTimed && quantile(taken, 0.99) > P99_MS)
        wrong.push(`p99 until a task of a killed worker gets on is ${quantile(taken, 0.99).toFixed(0)} ms`)
      if (isTimed && p99 > P99_MS) wrong.push(`p99 from a kill to the next progress is ${p99.toFixed(0)} ms`)
      const seconds = (performance.now() - startedAt) / 1_000
      return {
        figures: {
          ...{ tasks, ...judged.figures, ...counts, seconds },
          ...{
            'progress p50 ms': quantile(sorted, 0.5),
            'progress p99 ms': p99,
            'progress max ms': sorted.at(-1) ?? 0,
            takeovers: taken.length,
            'takeover p50 ms': quantile(taken, 0.5),
            'takeover p99 ms': quantile(taken, 0.99),
          },
        },
        violations: told([...judged.wrong, ...wrong]),
      }
    }),
})

const withoutQuorum = (tasks: number): Scenario => ({
  name: 'tasks-without-quorum',
  about: 'three voters are killed: nothing is decided until one of them is there again',
  play: ({ seed, say }) =>
    onStage({ seed }, async (stage) => {
      const { outside } = stage
      const submitting = keepSubmitting(stage, { tasks, seed })
      const wrong: string[] = []
      const gaps: number[] = []
      for (let round = 0; round < 3; round += 1) {
        await until('some tasks are done', () => outside.distinct() > (tasks * EFFECTS * (round + 1)) / 6, END_MS, 20)
        const leader = await until('a node coordinates', () => stage.coordinator(), 10_000, 20)
        const others = VOTERS.filter((name) => name !== leader.name)
        const gone = [leader, ...others.slice(0, 2).map((name) => stage.node(name))]
        await Promise.all(gone.map((node) => node.kill()))
        // What was on its way may be told still.
        await delay(500)
        const moved = await outside.progress(QUIET_MS)
        if (moved !== undefined) wrong.push('something was decided without a majority of the voters')
        const [first] = gone
        const at = performance.now()
        await first?.start()
        const startMs = performance.now() - at
        const quorumAt = performance.now()
        await until('a node coordinates', () => stage.coordinator(), 20_000, 20)
        const quorumMs = performance.now() - quorumAt
        const progress = await outside.progress(20_000)
        if (progress === undefined) wrong.push('nothing got on although a majority is there')
        else gaps.push(progress)
        say(
          `round ${round}: started in ${startMs.toFixed(0)} ms, a coordinator after ${quorumMs.toFixed(0)} ms, progress after ${(progress ?? 0).toFixed(0)} ms more`,
        )
        for (const node of gone.slice(1)) await node.start()
      }
      await submitting
      const judged = await judge(stage, tasks)
      const most = Math.max(0, ...gaps)
      if (most > QUORUM_MS) wrong.push(`from the quorum to the next progress it took ${most.toFixed(0)} ms`)
      return {
        figures: { tasks, ...judged.figures, 'progress max ms': most },
        violations: told([...judged.wrong, ...wrong]),
      }
    }),
})

const largeValues: Scenario = {
  name: 'tasks-large',
  about:
    'input and result of 64 MiB; the worker is killed at work, then worker, requester and coordinator once it is done',
  play: ({ seed, say }) =>
    onStage({ seed }, async (stage) => {
      const { outside } = stage
      const large = { id: 'large-1', bytes: MAX_STORED_BYTES, seed: seed % 1_000 }
      const submitMs = await stage.node(REQUESTER).ask('submitLarge', large)
      const worker = async (): Promise<TaskNode> =>
        await until(
          'a worker runs it',
          () => stage.nodes.find(({ name }) => outside.tasksOf(name).has(large.id)),
          END_MS,
        )
      await until('an effect is recorded', () => outside.isRecorded(`${large.id}/draw`), END_MS)
      const first = await worker()
      await first.kill()
      const killedAt = performance.now()
      const reader = stage.nodes.find((node) => node.isVoter && node !== first)
      if (reader === undefined) throw new Error('no voter is left')
      const before = await reader.ask('readLarge', { id: large.id, timeoutMs: END_MS })
      const doneMs = performance.now() - killedAt
      const last = await worker()
      const leader = await stage.coordinator()
      const gone = [last, stage.node(REQUESTER), leader].filter((node) => node !== undefined && node !== reader)
      await Promise.all(gone.map((node) => node?.kill()))
      await first.start()
      const after = await reader.ask('readLarge', { id: large.id, timeoutMs: END_MS })
      const wanted = hashOf(largeBytes({ bytes: large.bytes, seed: resultSeed(large.seed) }))
      say(`accepted after ${submitMs.toFixed(0)} ms; read within ${before.ms.toFixed(0)} and ${after.ms.toFixed(0)} ms`)
      const wrong = [...outside.wrong]
      for (const { hash } of [before, after]) if (hash !== wanted) wrong.push(`the result is another one: ${hash}`)
      if (before.holders.length !== COPIES) wrong.push(`${before.holders.length} hold the result`)
      if (outside.distinct() !== 1) wrong.push(`the outside has ${outside.distinct()} effects`)
      return {
        figures: {
          ...{ bytes: large.bytes, runs: outside.runs, holders: before.holders.length },
          ...{ 'accepted ms': submitMs, 'done after the kill ms': doneMs, 'read ms': after.ms },
        },
        violations: told(wrong),
      }
    }),
}

export const taskScenarios = (tasks: number, isTimed = true): readonly Scenario[] => [
  kills(tasks, isTimed),
  withoutQuorum(tasks),
  largeValues,
  sameDecisions(tasks),
  upgrade(tasks, false),
  upgrade(tasks, true),
  schedules(tasks),
  eventWaits(tasks),
  resourcesKilled(tasks),
  plansKilled(tasks),
  budgetsKilled(tasks),
]
export const taskScenarioNames: readonly string[] = taskScenarios(1).map(({ name }) => name)
