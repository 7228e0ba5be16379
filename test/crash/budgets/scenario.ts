/**
 * Programs open, lend, draw and spend budgets, while coordinator, voters and holders are killed at random: at each entry of the log
 * of each voter no more is drawn and spent of a root than it has, to a reader with rules of its own, and what the files of those who
 * spent say is never more than that. Keeps no state.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { JOURNAL_FOLDER } from '../../../node/store/known-stores.ts'
import { until } from '../../support/until.ts'
import type { Scenario } from '../scenarios.ts'
import { END_MS, onStage, told, victims } from '../tasks/playing.ts'
import { REQUESTER, releaseOf, type TaskNode, type TaskStage } from '../tasks/stage.ts'
import { checkBudgetLogs, readSpent, wrongSpending } from './check-budgets.ts'

const PAUSE_MS = [700, 2_000] as const
const DOWN_MS = [200, 900] as const
/** For each task that there would be: 500 of them are two minutes. */
const EACH_MS = 240
const LEAST_MS = 10_000
/** So that the log of each voter has all entries. */
const NEVER = 1_000_000
/** That many draws, for each task that there would be. */
const DRAWS_EACH = 2
/** Of so many some were killed with draws that nobody said a word about. */
const MANY = 200

const fileOf = ({ folder }: TaskStage, name: string): string => join(folder, `spent-${name}.jsonl`)

const spend = (stage: TaskStage, nodes: readonly TaskNode[]): Promise<unknown> => {
  const peers = stage.nodes.map(({ id }) => id)
  return Promise.all(
    nodes.map((node) => node.ask('beginSpending', { file: fileOf(stage, node.name), peers }).catch(() => {})),
  )
}

export const budgetsKilled = (tasks: number): Scenario => ({
  name: 'budgets-killed',
  about: 'coordinator, voters and holders of budgets are killed at random while they draw and spend',
  play: ({ seed, say }) =>
    onStage({ seed, release: releaseOf(), snapshotEvery: NEVER }, async (stage) => {
      const { random, nodes } = stage
      let kills = 0
      await spend(stage, nodes)
      const endsAt = performance.now() + Math.max(LEAST_MS, tasks * EACH_MS)
      while (performance.now() < endsAt) {
        await delay(random.between(...PAUSE_MS))
        const chosen = await victims(stage)
        await Promise.all(chosen.map((node) => node.kill()))
        kills += chosen.length
        await delay(random.between(...DOWN_MS))
        for (const node of chosen) await node.start()
        await spend(stage, chosen)
      }
      // A node that is there again ends what it held in its life before with the first budget that it opens.
      await Promise.all(nodes.map((node) => node.ask('endSpending')))
      const open = (): Promise<string[]> => stage.node(REQUESTER).ask('openBudgets')
      await until('all budgets are closed', async () => (await open()).length === 0, END_MS, 100)
      const voters = nodes.filter(({ isVoter }) => isVoter)
      await Promise.all(nodes.map((node) => node.terminate()))
      const { books, wrong } = await checkBudgetLogs(voters.map(({ dataDir }) => join(dataDir, JOURNAL_FOLDER)))
      const { counts } = books
      const files = nodes.map(({ name }) => fileOf(stage, name)).filter((file) => existsSync(file))
      const lines = files.flatMap(readSpent)
      wrong.push(...wrongSpending(books, lines))
      if (books.open().length > 0) wrong.push(`the log says that ${books.open().join(', ')} are still open`)
      const unsaid = [...books.costs.values()].filter(({ spent }) => spent === undefined)
      if (counts.draws < DRAWS_EACH * tasks) wrong.push(`there were ${counts.draws} draws`)
      if (tasks >= MANY && unsaid.length === 0) wrong.push('nobody was killed with an open draw')
      say(`${kills} kills, ${counts.draws} draws, ${unsaid.length} of them were of killed holders`)
      const sum = (all: Iterable<number>): number => [...all].reduce((one, other) => one + other, 0)
      return {
        figures: {
          ...{ kills, 'roots of budgets': counts.opened, loans: counts.loans, draws: counts.draws },
          ...{ receipts: counts.receipts, 'draws without a receipt': unsaid.length, expired: counts.expired },
          ...{ 'tokens of all roots': sum(books.roots.values()), 'tokens committed': sum(books.committed().values()) },
          ...{ 'tokens spent': sum(lines.map(({ tokens }) => tokens)), entries: counts.entries },
        },
        violations: told(wrong),
      }
    }),
})
