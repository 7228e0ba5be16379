/** Progress and what it says of an agent: a node and an agent in a worker thread, in a process of their own, over TCP. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as z from 'zod'
import type { Mesh } from '../../node/api.ts'
import { createMesh } from '../../node/mesh.ts'
import type { Progress } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { labour, labourHandlers } from '../support/agents/labour.ts'
import { firstLine, type Running, runCommand, startCommand } from '../support/command.ts'
import { keptLog } from '../support/meshes.ts'
import { programOf } from '../support/program.ts'
import { failureOf, timed, until } from '../support/until.ts'

const AGENT = programOf('test/support/agents/labourer.ts')
const STUCK_MS = 1_500
const Agents = z.array(
  z.object({
    name: z.string(),
    state: z.string(),
    activity: z.object({ state: z.string(), sinceMs: z.number().optional() }).optional(),
  }),
)

const Changed = z.object({ type: z.literal('agent-changed'), id: z.string(), stuck: z.boolean().optional() })

/** Agents that changed, from now on, and whether they are stuck. */
const readEvents = (url: string, signal: AbortSignal): (() => string[]) => {
  let text = ''
  const read = async (): Promise<void> => {
    const { body } = await fetch(url, { signal })
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk
  }
  read().catch((error: unknown) => assert.ok(signal.aborted, String(error)))
  return () =>
    text.split('\n').flatMap((line) => {
      if (!line.startsWith('data:')) return []
      const event = Changed.safeParse(JSON.parse(line.slice('data:'.length)))
      return event.success ? [`${event.data.id} ${event.data.stuck}`] : []
    })
}

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await failureOf(promise)
  assert.ok(error instanceof ParleyError, String(error))
  return error.code
}

describe('an agent in a worker thread of another process', { timeout: 60_000 }, () => {
  const log = keptLog()
  let folder: string
  let running: Running
  let ours: Mesh
  let hostId: string
  /** What our directory told of the host. */
  const told: string[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-progress-'))
    ours = await createMesh({ name: 'ours', log, debug: 0 })
    await ours.serve(
      labour,
      labourHandlers((peer, work, onProgress) => ours.to(peer, labour).take(work, { onProgress })),
    )
    running = startCommand(
      [
        'up',
        '--json',
        '--name',
        'host',
        '--serve',
        AGENT,
        '--stuck-after',
        `${STUCK_MS}`,
        '--join',
        ...ours.self.addresses,
      ],
      { cwd: folder },
    )
    hostId = z.object({ id: z.string() }).parse(JSON.parse(await firstLine(running))).id
    await until('the offer is known', () => ours.directory.get(hostId)?.record.protocols.length === 1)
    ours.directory.onChange(({ type, agent }) => {
      if (agent.peer === hostId) told.push(`${type} ${agent.state} ${agent.activity?.state}`)
    })
  })
  after(async () => {
    running.child.kill('SIGKILL')
    await ours.stop()
    await running.ended
    await rm(folder, { recursive: true, force: true })
  })
  const client = () => ours.to(hostId, labour)
  const activity = () => ours.directory.get(hostId)?.activity?.state

  it('is given more time than the timeout while it reports progress', async () => {
    const reports: Progress[] = []
    const { ms, value } = await timed(() =>
      client().take(
        { ms: 3_000, everyMs: 100 },
        { timeoutMs: 1_000, onProgress: (report) => void reports.push(report) },
      ),
    )
    assert.ok(ms >= 2_990 && ms < 5_000, `${ms}`)
    assert.ok(value.remainingMs > 500 && value.remainingMs <= 1_000, `${value.remainingMs}`)
    assert.ok(reports.length >= 8 && reports.length <= 15, `${reports.length} reports in three seconds`)
    assert.deepEqual(reports.at(-1), { fraction: 1, note: 'on it' })
  })

  it('fails with COM001 when it reports nothing', async () => {
    const { ms, value } = await timed(() => codeOf(client().take({ ms: 3_000 }, { timeoutMs: 1_000 })))
    assert.equal(value, 'COM001')
    assert.ok(ms < 2_000, `${ms}`)
  })

  it('is given no more than the limit of the caller, whatever it reports', async () => {
    const { ms, value } = await timed(() =>
      codeOf(client().take({ ms: 20_000, everyMs: 100 }, { timeoutMs: 500, maxMs: 1_200 })),
    )
    assert.equal(value, 'COM001')
    assert.ok(ms >= 1_190 && ms < 2_500, `${ms}`)
  })

  it('is given more time for a stream as well', async () => {
    const items: string[] = []
    const stream = client().live({ ms: 2_000, everyMs: 200 }, { timeoutMs: 700 })
    for await (const item of stream) items.push(item)
    assert.deepEqual(items, ['done'])
  })

  it('keeps a call to anybody: nobody else is asked while progress comes', async () => {
    const failovers: string[] = []
    const by: string[] = []
    await ours.any(labour, { exclude: [ours.self.id] }).take(
      { ms: 2_000, everyMs: 100 },
      {
        timeoutMs: 700,
        onFailover: (peer) => void failovers.push(peer),
        onProgress: (_, peer) => void by.push(peer),
      },
    )
    assert.deepEqual(failovers, [])
    assert.ok(by.length > 3 && by.every((peer) => peer === hostId))
  })

  it('is no stall among all, as long as it reports', async () => {
    const replies: string[] = []
    for await (const reply of ours.all(labour).take({ ms: 1_500, everyMs: 100 }, { stallMs: 500 }))
      replies.push(reply.peer)
    assert.deepEqual(replies.sort(), [ours.self.id, hostId].sort())
    const silent: string[] = []
    for await (const reply of ours.all(labour).take({ ms: 1_500 }, { stallMs: 500, timeoutMs: 3_000 }))
      silent.push(reply.peer)
    assert.deepEqual(silent, [])
  })

  it('hears of the progress of those that it calls itself', async () => {
    const heard = await client().pass({ peer: ours.self.id, ms: 1_500, everyMs: 100 })
    assert.ok(heard.length > 3, `${heard.length}`)
    assert.ok(heard.every(({ peer, note }) => peer === ours.self.id && note === 'on it'))
  })

  it('is alive without work, works while it has some, and its progress is seen', async () => {
    await until('it rests', () => activity() === 'alive')
    const answer = client().take({ ms: 2_500, everyMs: 100 })
    const seen = await until('it works', () => {
      const now = ours.directory.get(hostId)?.activity
      return now?.state === 'working' && now.progress !== undefined ? now : undefined
    })
    assert.ok((seen.progress ?? 0) > 0 && (seen.sinceMs ?? -1) >= 0)
    await answer
    await until('it rests again', () => activity() === 'alive')
    assert.deepEqual(told, [], 'work that comes and goes is no news')
  })

  it('is stuck while its thread does not turn, its node is alive, and others are asked first', async () => {
    const seen = new AbortController()
    const events = readEvents(`${ours.debugUrl}/api/events`, seen.signal)
    const answer = client().block({ ms: 6_000 })
    await until('it is stuck', () => activity() === 'stuck', 5_000)
    assert.deepEqual(told, ['changed alive stuck'])
    assert.equal(ours.directory.get(hostId)?.state, 'alive')

    const by = new Set<string>()
    for (let i = 0; i < 5; i += 1)
      await ours.any(labour).take({ ms: 10, everyMs: 1 }, { onProgress: (_, peer) => void by.add(peer) })
    assert.deepEqual([...by], [ours.self.id])

    const [listed, shown] = await Promise.all([
      runCommand(['agents', '--json', '--url', ours.debugUrl ?? ''], { cwd: folder }),
      runCommand(['agents'], { cwd: folder }),
    ])
    const host = Agents.parse(JSON.parse(listed.stdout)).find(({ name }) => name === 'host')
    assert.deepEqual([host?.state, host?.activity?.state], ['alive', 'stuck'])
    assert.match(shown.stdout, /stuck/, 'asked at the host itself')
    const metrics = await (await fetch(`${ours.debugUrl}/metrics`)).text()
    assert.match(metrics, /^\w*directory_stuck 1$/m)
    assert.match(metrics, /^\w*agent_stuck 0$/m)

    await answer
    await until('it goes on', () => activity() === 'alive')
    await until('both were events', () => events().length === 2)
    assert.deepEqual(events(), [`${hostId} true`, `${hostId} undefined`])
    seen.abort()
    assert.deepEqual([told.length, told.at(-1)?.includes('stuck')], [2, false])
    assert.match(running.stderr(), /does not turn/)
    assert.deepEqual(
      told.filter((line) => line.includes('suspect') || line.startsWith('left')),
      [],
    )
  })

  it('is stuck when a request hangs, and works again when something ends', async () => {
    const stop = new AbortController()
    const answer = failureOf(client().hang({}, { signal: stop.signal }))
    await until('it is stuck', () => activity() === 'stuck', 5_000)
    await client().take({ ms: 1 })
    await until('it works', () => activity() === 'working')
    stop.abort()
    await answer
    await until('it rests', () => activity() === 'alive')
  })
})

describe('an agent that reports progress and is killed', { timeout: 60_000 }, () => {
  it('leaves its work to another one, which has the whole time for it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parley-progress-'))
    const ours = await createMesh({ name: 'ours', log: keptLog() })
    const names = ['one', 'two']
    const all = names.map((name) =>
      startCommand(['up', '--json', '--name', name, '--serve', AGENT, '--join', ...ours.self.addresses], {
        cwd: folder,
      }),
    )
    try {
      const ids = await Promise.all(
        all.map(async (one) => z.object({ id: z.string() }).parse(JSON.parse(await firstLine(one))).id),
      )
      await until('both offers are known', () => ours.directory.offers('labour', 1).length === 2)
      const by: string[] = []
      const failovers: string[] = []
      const startedAt = performance.now()
      let killed = false
      await ours.any(labour).takeAgain(
        { ms: 2_500, everyMs: 100 },
        {
          timeoutMs: 1_000,
          onFailover: (peer) => void failovers.push(peer),
          onProgress(_, peer) {
            by.push(peer)
            // Later than the timeout: what the call has left by then, progress has given it.
            if (killed || performance.now() - startedAt < 1_500) return
            killed = true
            all[ids.indexOf(peer)]?.child.kill('SIGKILL')
          },
        },
      )
      const [first = ''] = by
      assert.deepEqual(failovers, [first])
      assert.equal(
        by.at(-1),
        ids.find((id) => id !== first),
      )
      assert.ok(performance.now() - startedAt >= 4_000)
    } finally {
      for (const { child } of all) child.kill('SIGKILL')
      await ours.stop()
      await Promise.all(all.map(({ ended }) => ended))
      await rm(folder, { recursive: true, force: true })
    }
  })
})
