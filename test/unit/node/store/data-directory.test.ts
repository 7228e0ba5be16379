import assert from 'node:assert/strict'
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { lockDataDirectory, readNodes } from '../../../../node/store/data-directory.ts'
import { isParleyError, type ParleyError } from '../../../../protocols/errors.ts'
import { testFolder } from '../../../support/folder.ts'
import type { Answer, Order } from '../../../support/lock-holder.ts'

const SCRIPT = join(import.meta.dirname, '../../../support/lock-holder.ts')
const HAS_PROC = process.platform === 'linux'
const FACTS = { name: 'ann', peerId: '12D3KooWann', addresses: ['/ip4/127.0.0.1/tcp/4001'] }

const kill = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

interface Contender {
  child: ChildProcess
  pid: number
  ask(order: Order): Promise<Answer>
}

const start = async (t: TestContext, directory: string): Promise<Contender> => {
  const child = fork(SCRIPT, [directory])
  t.after(() => kill(child))
  await once(child, 'message')
  assert.ok(child.pid)
  const ask = async (order: Order): Promise<Answer> => {
    const settled = new AbortController()
    const { signal } = settled
    const died = once(child, 'exit', { signal }).then(() => {
      throw new Error(`process ${child.pid} ended while it was asked to ${order.do}`)
    })
    const answered = once(child, 'message', { signal }).then(([answer]) => answer)
    child.send(order)
    try {
      return await Promise.race([answered, died])
    } finally {
      // Whichever is still waiting is told to stop; its end is of no interest.
      void Promise.allSettled([answered, died])
      settled.abort()
    }
  }
  return { child, pid: child.pid, ask }
}

const refusal = async (directory: string): Promise<ParleyError> => {
  const error = await lockDataDirectory(directory).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(isParleyError(error, 'STA003'), `expected STA003, got ${String(error)}`)
  return error
}

test('a second process is refused with the pid of the first, and let in after its release', async (t) => {
  const directory = join(await testFolder(t), 'data')
  const other = await start(t, directory)
  assert.deepEqual(await other.ask({ do: 'lock' }), { held: true })
  const error = await refusal(directory)
  assert.equal(error.details.pid, other.pid)
  assert.match(error.message, new RegExp(`process ${other.pid}`))
  assert.match(error.hint ?? '', /data directory of its own/)
  await other.ask({ do: 'release' })
  const lock = await lockDataDirectory(directory)
  await lock.release()
})

test('one process takes a directory once, also by another path to it', async (t) => {
  const folder = await testFolder(t)
  const lock = await lockDataDirectory(join(folder, 'data'))
  await symlink(join(folder, 'data'), join(folder, 'alias'))
  assert.match((await refusal(join(folder, 'alias'))).message, /in use by this process/)
  await lock.release()
  const again = await lockDataDirectory(join(folder, 'alias'))
  await again.release()
})

test('the lock of a killed process is taken over', async (t) => {
  const directory = await testFolder(t)
  const other = await start(t, directory)
  await other.ask({ do: 'lock' })
  await kill(other.child)
  assert.equal((await readdir(join(directory, 'lock'))).length, 1)
  const lock = await lockDataDirectory(directory)
  assert.equal((await readdir(join(directory, 'lock'))).length, 1)
  await lock.release()
  assert.deepEqual(await readdir(directory), [])
})

test('a frozen process keeps its lock', async (t) => {
  const directory = await testFolder(t)
  const other = await start(t, directory)
  await other.ask({ do: 'lock' })
  other.child.kill('SIGSTOP')
  assert.equal((await refusal(directory)).details.pid, other.pid)
})

test('a pid that was given to another process since does not hold the lock', { skip: !HAS_PROC }, async (t) => {
  const folder = await testFolder(t)
  const other = await start(t, join(folder, 'a'))
  await other.ask({ do: 'lock' })
  const [holder = ''] = await readdir(join(folder, 'a', 'lock'))
  const [pid, birth = '', nonce] = holder.split('.')
  const plant = async (name: string, file: string): Promise<string> => {
    await mkdir(join(folder, name, 'lock'), { recursive: true })
    await writeFile(join(folder, name, 'lock', file), '')
    return join(folder, name)
  }
  // The control: the same file with the true birth is respected.
  assert.equal((await refusal(await plant('b', holder))).details.pid, other.pid)
  const [ticks, boot] = birth.split('-')
  await (await lockDataDirectory(await plant('c', `${pid}.${Number(ticks) - 1}-${boot}.${nonce}`))).release()
  await (await lockDataDirectory(await plant('d', `${pid}.${ticks}-0123456789ab.${nonce}`))).release()
})

test('a killed process that nobody has waited for does not hold the lock', { skip: !HAS_PROC }, async (t) => {
  const directory = await testFolder(t)
  // The shell starts the holder and turns into a program that never waits for its children.
  const parent = spawn('sh', ['-c', '"$0" "$1" "$2" hold & exec sleep 60', process.execPath, SCRIPT, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => kill(parent))
  const [line] = await once(parent.stdout, 'data', { signal: AbortSignal.timeout(20_000) })
  const pid = Number(String(line))
  assert.equal((await refusal(directory)).details.pid, pid)
  process.kill(pid, 'SIGKILL')
  const deadline = Date.now() + 10_000
  while (!(await readFile(`/proc/${pid}/stat`, 'utf8')).includes(') Z ')) {
    assert.ok(Date.now() < deadline, 'the holder did not die')
    await delay(5)
  }
  await (await lockDataDirectory(directory)).release()
})

test('of many processes that race for the lock of a killed one exactly one wins, round after round', async (t) => {
  const directory = await testFolder(t)
  let alive = await Promise.all(Array.from({ length: 6 }, () => start(t, directory)))
  let rounds = 0
  while (alive.length > 1) {
    const answers = await Promise.all(alive.map(({ ask }) => ask({ do: 'lock' })))
    const winners = alive.filter((_, at) => answers[at]?.held === true)
    assert.equal(winners.length, 1, JSON.stringify(answers))
    const [winner] = winners
    assert.ok(winner)
    for (const { holderPid } of answers.filter(({ held }) => held === false)) assert.equal(holderPid, winner.pid)
    await kill(winner.child)
    alive = alive.filter((contender) => contender !== winner)
    rounds += 1
  }
  assert.equal(rounds, 5)
})

test('processes that take, release and abandon the lock as fast as they can are never inside together', async (t) => {
  const directory = await testFolder(t)
  const contenders = await Promise.all(Array.from({ length: 4 }, () => start(t, directory)))
  const answers = await Promise.all(contenders.map(({ ask }) => ask({ do: 'contend', times: 60 })))
  for (const answer of answers) assert.deepEqual(answer, { wins: 60, violations: 0 })
})

test('claims that killed processes left are cleared, those of the living are not', { skip: !HAS_PROC }, async (t) => {
  const folder = await testFolder(t)
  const other = await start(t, join(folder, 'a'))
  await other.ask({ do: 'lock' })
  const [holder = ''] = await readdir(join(folder, 'a', 'lock'))
  const directory = join(folder, 'b')
  await mkdir(join(directory, `lock.${holder}`), { recursive: true })
  await mkdir(join(directory, 'lock.999999999.1-0123456789ab.0123456789ab'))
  const lock = await lockDataDirectory(directory)
  assert.deepEqual((await readdir(directory)).sort(), ['lock', `lock.${holder}`])
  await lock.release()
})

test('a foreign file in the lock is named in the error and left alone', async (t) => {
  const directory = await testFolder(t)
  await mkdir(join(directory, 'lock'))
  await writeFile(join(directory, 'lock', 'notes.txt'), 'mine')
  assert.match((await refusal(directory)).message, /notes\.txt/)
  assert.equal(await readFile(join(directory, 'lock', 'notes.txt'), 'utf8'), 'mine')
  await rm(join(directory, 'lock'), { recursive: true })
  await writeFile(join(directory, 'lock'), 'a file where the folder should be')
  assert.match((await refusal(directory)).message, /ENOTDIR/)
})

test('a path that cannot be a directory is refused with its name', async (t) => {
  const file = join(await testFolder(t), 'file')
  await writeFile(file, '')
  const error = await refusal(join(file, 'data'))
  assert.equal(error.details.path, join(file, 'data'))
  assert.deepEqual([error.details.reason, error.details.errno], ['missing', 'ENOTDIR'])
})

test('a directory that others may read is tightened with a warning', async (t) => {
  const directory = await testFolder(t)
  await chmod(directory, 0o755)
  const warnings: string[] = []
  const log = { info: () => {}, error: () => {}, warn: (message: string) => void warnings.push(message) }
  const lock = await lockDataDirectory(directory, { log })
  assert.equal((await stat(directory)).mode & 0o777, 0o700)
  assert.equal(warnings.length, 1)
  await lock.release()
})

test('a running node is listed with its facts, and no longer after its release', async (t) => {
  const folder = await testFolder(t)
  const before = Date.now()
  const lock = await lockDataDirectory(join(folder, 'ann'))
  assert.deepEqual(await readNodes(folder), [])
  await lock.describe(FACTS)
  await lock.describe({ ...FACTS, debugUrl: 'http://127.0.0.1:8090' })
  assert.equal((await stat(join(folder, 'ann', 'node.json'))).mode & 0o777, 0o600)
  const [node, ...others] = await readNodes(folder)
  assert.ok(node)
  assert.deepEqual(others, [])
  const { startedAt, ...facts } = node
  assert.ok(startedAt >= before && startedAt <= Date.now())
  assert.deepEqual(facts, {
    ...FACTS,
    debugUrl: 'http://127.0.0.1:8090',
    pid: process.pid,
    directory: join(folder, 'ann'),
    alive: true,
  })
  await Promise.all([lock.release(), lock.release()])
  assert.deepEqual(await readNodes(folder), [])
  // A late change of addresses must not bring the note back.
  await lock.describe(FACTS)
  assert.deepEqual(await readdir(join(folder, 'ann')), [])
})

test('nodes are listed by name, dead ones too, and what is no node is passed over', async (t) => {
  const folder = await testFolder(t)
  assert.deepEqual(await readNodes(join(folder, 'missing')), [])
  const note = { ...FACTS, pid: 999_999_999, startedAt: 1 }
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'node.json'), text)
  }
  await write('dead', JSON.stringify({ ...note, name: 'zoe' }))
  await write('torn', JSON.stringify(note).slice(0, 20))
  await write('foreign', JSON.stringify({ hello: 'world' }))
  await write('huge', JSON.stringify({ ...note, name: 'x'.repeat(70_000) }))
  await mkdir(join(folder, 'empty'))
  await writeFile(join(folder, 'file'), '')
  const lock = await lockDataDirectory(join(folder, 'living'))
  await lock.describe(FACTS)
  const nodes = await readNodes(folder)
  assert.deepEqual(
    nodes.map(({ name, alive }) => ({ name, alive })),
    [
      { name: 'ann', alive: true },
      { name: 'zoe', alive: false },
    ],
  )
  await lock.release()
})
