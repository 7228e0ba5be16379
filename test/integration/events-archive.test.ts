/** Events outlive their publisher: one that archives them was away, comes back, and holds all for a newcomer. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type MeshOptionsInput, makeSecret } from '../../node/index.ts'
import type { Output } from '../support/peer-verbs.ts'
import { freePorts } from '../support/ports.ts'
import { endProcesses, forkProcess, type PeerProcess } from '../support/processes.ts'
import { until } from '../support/until.ts'

const COUNT = 1_000
const NUMBERS = Array.from({ length: COUNT }, (_, index) => index + 1)
/** No loss is waited for long enough to be hidden. */
const WITHIN_MS = 15_000

describe('events of a publisher that was killed', { timeout: 60_000 }, () => {
  let folder = ''
  after(async () => {
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('come to an archivist that was away from those who heard them, and from its disk alone to a newcomer', async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-archive-'))
    const [memberPort = 0, archivePort = 0, newcomerPort = 0] = await freePorts(3)
    const at = (port: number) => `/ip4/127.0.0.1/tcp/${port}`
    const options: MeshOptionsInput = {
      mesh: 'archive',
      secret: makeSecret(),
      timings: { backoffMinMs: 50, backoffMaxMs: 250 },
      events: { history: [{ topic: 'work', store: 'disk' }] },
    }
    const start = async (own: MeshOptionsInput): Promise<PeerProcess & { id: string }> => {
      const process = forkProcess()
      const { id } = await process.ask('start', { ...options, ...own })
      if (own.join !== undefined) await process.ask('joined', {})
      return { ...process, id }
    }
    const read = async (peer: PeerProcess, reading: { from: 'earliest'; ack?: boolean; name?: string }) => {
      const { subscription } = await peer.ask('subscribe', { pattern: 'work.#', reading })
      return (): Promise<Output<'heard'>> => peer.ask('heard', { subscription })
    }
    const numbersOf = ({ events }: Output<'heard'>) => events.map(({ data }) => (data as { n: number }).n)

    const member = await start({ name: 'member', listen: [at(memberPort)] })
    const heard = await member.ask('subscribe', { pattern: 'work.#' })
    const publisher = await start({ name: 'publisher', listen: [], join: [at(memberPort)] })
    const archivist = (joining: number) =>
      start({
        name: 'archivist',
        listen: [at(archivePort)],
        join: [at(joining)],
        dataDir: join(folder, 'archivist'),
      })
    const before = await archivist(memberPort)
    const first = await read(before, { from: 'earliest', ack: true, name: 'archive' })
    await publisher.ask('publish', { topic: 'work.x', count: COUNT / 2 })
    await until('the archivist read the first half', async () => (await first()).count >= COUNT / 2)
    await before.kill()
    await publisher.ask('publish', { topic: 'work.x', from: COUNT / 2 + 1, count: COUNT / 2 })
    await until('the member heard all', async () => (await member.ask('heard', heard)).count === COUNT)
    await publisher.kill()

    const again = await archivist(memberPort)
    const second = await read(again, { from: 'earliest', ack: true, name: 'archive' })
    await until('it read the rest', async () => numbersOf(await second()).at(-1) === COUNT, WITHIN_MS)
    assert.equal((await second()).missed, 0)
    await again.ask('stop', undefined)
    await again.kill()
    await member.kill()

    // It has nobody but its disk, and the newcomer has nobody but it.
    const alone = await start({
      name: 'archivist',
      listen: [at(archivePort)],
      dataDir: join(folder, 'archivist'),
    })
    const newcomer = await start({ name: 'newcomer', listen: [at(newcomerPort)], join: [at(archivePort)] })
    const checkAll = async (peer: PeerProcess): Promise<void> => {
      const heardOf = await read(peer, { from: 'earliest' })
      await until('it read all', async () => (await heardOf()).count >= COUNT, WITHIN_MS)
      const all = await heardOf()
      assert.deepEqual([numbersOf(all), all.missed], [NUMBERS, 0])
    }
    await checkAll(newcomer)
    // What it read it holds as well.
    await alone.kill()
    await checkAll(await start({ name: 'last', listen: [], join: [at(newcomerPort)] }))
  })
})
