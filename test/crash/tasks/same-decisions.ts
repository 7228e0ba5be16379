/**
 * While voters of two releases decide together, each entry has to come to the same on both: the journals of the older tree and of
 * this one are given the same decisions at random, and every answer, record and row is compared. State: two journals.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import { readTask, readWorker, TASKS_PART, taskKey, workerKey, workOf } from '../../../protocols/task/task-record.ts'
import { createRandom } from '../../soak/random.ts'
import { ROOT } from '../../support/commit-tree.ts'
import type { Scenario } from '../scenarios.ts'
import type { Verdict } from '../stage.ts'
import { noOlderRelease, provideOlderRelease } from './older-release.ts'
import { told } from './playing.ts'
import { idsAt, LEADER, randomChanges, type Seen } from './random-changes.ts'

/** Decisions for each task that the run is told of, and in one journal. */
const PER_TASK = 100
const MOST = 4_000
/** Of the part that all voters have. */
const LEVEL = 1
const COMMAND = `${TASKS_PART}.change`

type Machine = typeof import('../../../protocols/journal/state/journal-machine.ts')
type Parts = typeof import('../../../protocols/journal/part-kinds.ts')
type BuiltIn = typeof import('../../../protocols/journal/state/built-in-kinds.ts')
type Kinds = typeof import('../../../protocols/task/journal/task-kinds.ts')
type Commands = typeof import('../../../protocols/journal/state/command-kind.ts')
type Rows = typeof import('../../../protocols/journal/state/collection-rows.ts')

/** Modules of the release whose tree is at `root`. */
const modulesOf = async (root: string) => {
  const load = (file: string) => import(pathToFileURL(join(root, 'protocols', file)).href)
  const { createJournalMachine } = (await load('journal/state/journal-machine.ts')) as Machine
  const { knownKinds, agreePart } = (await load('journal/part-kinds.ts')) as Parts
  const { beginEpoch, raiseLevel } = (await load('journal/state/built-in-kinds.ts')) as BuiltIn
  const { taskJournal } = (await load('task/journal/task-kinds.ts')) as Kinds
  const { encodeLoggedCommand } = (await load('journal/state/command-kind.ts')) as Commands
  const { COLLECTIONS_LEVEL } = (await load('journal/state/collection-rows.ts')) as Rows
  return {
    createJournalMachine,
    knownKinds,
    agreePart,
    beginEpoch,
    raiseLevel,
    taskJournal,
    encodeLoggedCommand,
    COLLECTIONS_LEVEL,
  }
}
type Modules = Awaited<ReturnType<typeof modulesOf>>

/** The journal of one release. */
const openJournal = ({ createJournalMachine, knownKinds, taskJournal, encodeLoggedCommand }: Modules) => {
  const bugs: unknown[] = []
  const kinds = knownKinds([], [{ ...taskJournal, name: TASKS_PART }])
  const machine = createJournalMachine(kinds, (_kind, error) => bugs.push(error))
  return {
    machine,
    bugs,
    apply(kind: string, by: string, input: Json, { at, epoch, index }: Pick<Seen, 'at' | 'epoch' | 'index'>): string {
      const data = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at, by, input })
      // Nothing of it is in a snapshot: there is nothing to read.
      void machine.prepare?.([{ kind: 'command', data }])
      return JSON.stringify(machine.apply(data, { term: epoch, index }))
    },
    /** All that a snapshot would have, as text. */
    async rows(): Promise<string[]> {
      const rows: string[] = []
      for await (const { key, value } of machine.changes().rows)
        rows.push(`${key} ${value === undefined ? '' : Buffer.from(value).toString()}`)
      return rows.sort()
    },
  }
}

const compare = async (older: Modules, newer: Modules, seed: number, decisions: number) => {
  const [before, after] = [openJournal(older), openJournal(newer)]
  const random = createRandom(seed)
  const wrong: string[] = []
  const facts = { at: 1_000, epoch: 1, index: 0 }
  let through = 0
  const decide = (kind: string, by: string, input: unknown): void => {
    facts.index += 1
    const [one, other] = [before, after].map((journal) => journal.apply(kind, by, input as Json, facts))
    through += (other?.split('{"ok":').length ?? 0) - 2
    if (one !== other)
      wrong.push(`${by} asks for ${JSON.stringify(input)}: ${one} by the older one, ${other} by this one`)
  }
  const { maxBytes, maxCollectionBytes } = older.taskJournal
  decide(older.raiseLevel.name, LEADER, { level: older.COLLECTIONS_LEVEL })
  decide(older.agreePart.name, LEADER, { part: TASKS_PART, level: LEVEL, maxBytes, maxCollectionBytes })
  const begin = (): void => decide(older.beginEpoch.name, LEADER, { leader: LEADER, name: LEADER })
  begin()
  const { records } = after.machine
  for (let turn = 0; turn < decisions; turn += 1) {
    facts.at += random.below(400)
    if (random.next() < 0.01) {
      facts.epoch += 1
      begin()
    }
    const asked = randomChanges(random, turn, {
      ...facts,
      task: (id) => readTask(records.get(taskKey(id))?.value),
      registration: (peer) => readWorker(records.get(workerKey(peer))?.value)?.registration,
    })
    decide(COMMAND, asked[0]?.[0] ?? LEADER, { changes: asked.map(([, change]) => change) })
    // Most of them are gone at the end.
    for (const id of idsAt(turn)) {
      const [one, other] = [before, after].map(({ machine }) => machine.records.collections.get(workOf(id))?.id)
      if (one !== other) wrong.push(`the rows of ${id} are ${one} by the older one, ${other} by this one`)
    }
  }
  const [rows, others] = [await before.rows(), new Set(await after.rows())]
  for (const row of rows) if (!others.has(row)) wrong.push(`only the older one has ${row.slice(0, 200)}`)
  if (rows.length !== others.size) wrong.push(`${rows.length} rows by the older one, ${others.size} by this one`)
  for (const bug of [...before.bugs, ...after.bugs]) wrong.push(`a mistake in a kind: ${String(bug)}`)
  return { wrong, rows: rows.length, through }
}

const playDecisions = async (root: string, tasks: number, seed: number): Promise<Verdict> => {
  const [older, newer] = [await modulesOf(root), await modulesOf(ROOT)]
  const wrong: string[] = []
  const figures = { decisions: 0, 'let through': 0, rows: 0 }
  while (figures.decisions < tasks * PER_TASK) {
    const some = Math.min(MOST, tasks * PER_TASK - figures.decisions)
    const found = await compare(older, newer, seed + figures.decisions, some)
    wrong.push(...found.wrong)
    figures.decisions += some
    figures['let through'] += found.through
    figures.rows += found.rows
  }
  return { figures, violations: told(wrong) }
}

export const sameDecisions = (tasks: number): Scenario => ({
  name: 'tasks-upgrade-decisions',
  about: 'the release before and this tree apply the same decisions, and come to the same',
  skip: noOlderRelease,
  async play({ seed, say }) {
    const folder = await mkdtemp(join(tmpdir(), 'parley-older-'))
    try {
      return await playDecisions(await provideOlderRelease(folder, say), tasks, seed)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
})
