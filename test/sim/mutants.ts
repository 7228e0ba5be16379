/**
 * Whether the simulator finds what it is there for: deliberate bugs, each a patch of a temporary copy of the sources, each
 * run under the simulator until it fails.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = ['package.json', 'protocols', 'test/sim', 'test/support/virtual-time.ts', 'test/support/usage.ts']
const SEEDS = 3_000
const LIMIT_MS = 240_000

interface Mutant {
  readonly bug: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

const CORE = 'protocols/consensus'
const SIM = 'test/sim/raft'

const MUTANTS: readonly Mutant[] = [
  {
    bug: 'the vote is not persisted',
    file: `${CORE}/raft.ts`,
    find: 'out.hardState = { ...kept, commit: s.commit }',
    replace: 'out.hardState = { term: s.term, votedFor: undefined, commit: s.commit }',
  },
  {
    bug: 'the term is not persisted',
    file: `${CORE}/raft.ts`,
    find: 'out.hardState = { ...kept, commit: s.commit }',
    replace: 'out.hardState = undefined',
  },
  {
    bug: 'an old term is committed by count',
    file: `${CORE}/replication.ts`,
    find: 'if (reached <= s.commit || s.log.termAt(reached) !== s.term) return',
    replace: 'if (reached <= s.commit) return',
  },
  {
    bug: 'acknowledged before it is on the disk',
    file: `${SIM}/member.ts`,
    find: 'for (const entry of entries) {\n      this.#write(budget)\n      disk.entries.push(entry)',
    replace: 'for (const entry of entries) {\n      if (this.#random() < 0.02) break\n      disk.entries.push(entry)',
  },
  {
    bug: 'a vote for a shorter log',
    file: `${CORE}/election.ts`,
    find: 'const isUpToDate = s.log.isUpToDate(m.lastIndex, m.lastTerm)',
    replace: 'const isUpToDate = true',
  },
  {
    bug: 'two votes in one term',
    file: `${CORE}/election.ts`,
    find: 'const isFree = s.votedFor === from || (s.votedFor === undefined && s.leader === undefined)',
    replace: 'const isFree = true',
  },
  {
    bug: 'half of the voters are a majority',
    file: `${CORE}/quorum.ts`,
    find: 'Math.floor(voters / 2) + 1',
    replace: 'Math.ceil(voters / 2)',
  },
  {
    bug: 'entries are taken without looking at what is before them',
    file: `${CORE}/replication.ts`,
    find: 'if (s.log.termAt(m.previousIndex) !== m.previousTerm) {',
    replace: 'if (m.previousIndex > s.log.lastIndex) {',
  },
  {
    bug: 'a follower commits what the leader has, not what it has itself',
    file: `${CORE}/replication.ts`,
    find: 's.commit = Math.max(s.commit, Math.min(m.commit, last))',
    replace: 's.commit = Math.max(s.commit, Math.min(m.commit, s.log.lastIndex))',
  },
  {
    bug: 'a leader answers reads without asking anybody',
    file: `${CORE}/replication.ts`,
    find: 's.reads.push({ id, from, index: s.commit, round: s.round + 1 })',
    replace: 'answerRead(s, from, id, s.commit)',
  },
  {
    bug: 'a new leader answers reads before it knows what is committed',
    file: `${CORE}/replication.ts`,
    find: 'else if (!knowsCommit(s)) s.early.push({ id, from })',
    replace: 'else if (s.commit < 0 && !knowsCommit(s)) s.early.push({ id, from })',
  },
  {
    bug: 'two changes of the voters at once',
    file: `${CORE}/raft.ts`,
    find: '  s.configurations.index <= s.commit &&\n',
    replace: '',
  },
  {
    bug: 'learners vote',
    file: `${CORE}/state.ts`,
    find: '=> s.configurations.current.voters\n',
    replace: '=> [...s.configurations.current.voters, ...s.configurations.current.learners]\n',
  },
  {
    bug: 'the sessions are left out of the snapshot',
    file: `${SIM}/machine.ts`,
    find: 'sessions: new Map(sessions),',
    replace: 'sessions: new Map(),',
  },
  {
    bug: 'configurations that were cut off still count',
    file: `${CORE}/replication.ts`,
    find: '    s.configurations.truncate(conflict.index)\n',
    replace: '',
  },
  {
    bug: 'a refusal counts as a copy',
    file: `${CORE}/replication.ts`,
    find: '  if (!m.accepted) {',
    replace: '  if (!m.accepted && m.index > s.log.lastIndex) {',
  },
  {
    bug: 'a snapshot leaves the old log in place',
    file: `${CORE}/log.ts`,
    find: '    this.#base = base\n    this.#entries = []',
    replace: '    this.#entries = this.#entries.slice(base.index - this.#base.index)\n    this.#base = base',
  },
  {
    bug: 'a session is not looked up: a command tried twice has two effects',
    file: `${SIM}/machine.ts`,
    find: '  if ((machine.sessions.get(session) ?? 0) >= serial) return false\n',
    replace: '',
  },
]

const copy = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-mutant-'))
  for (const path of COPIED) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    cpSync(join(ROOT, path), join(folder, path), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** @returns what the simulator said, or undefined where it found nothing */
const runMutant = ({ file, find, replace, bug }: Mutant): string | undefined => {
  const folder = copy()
  try {
    const path = join(folder, file)
    const source = readFileSync(path, 'utf8')
    if (source.split(find).length !== 2) throw new Error(`the patch for "${bug}" does not fit ${file} any more`)
    writeFileSync(path, source.replace(find, replace))
    const args = ['test/sim/main.ts', '--seeds', String(SEEDS)]
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', timeout: LIMIT_MS })
    return status === 1 ? (stderr.split('\n').find((line) => line.startsWith('seed ')) ?? undefined) : undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @returns the exit code */
export const runMutants = (): number => {
  let killed = 0
  for (const mutant of MUTANTS) {
    const found = runMutant(mutant)
    if (found !== undefined) killed += 1
    console.log(`${found === undefined ? 'LIVES ' : 'killed'} ${mutant.bug}${found === undefined ? '' : `: ${found}`}`)
  }
  console.log(`mutants ${MUTANTS.length}, killed ${killed}`)
  return killed === MUTANTS.length ? 0 : 1
}
