/** A member invents agents that are to be found where a canary listens, and counts who comes. Issue 16, A7. */
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { encode } from 'cborg'
import type { Attack } from '../attack.ts'
import { grown } from '../members/member.ts'
import { openTown } from '../members/town.ts'
import { CONTENT, KIND } from '../raw/frames.ts'
import { inventSigner, recordBytes } from '../raw/signed.ts'

const DIRECTORY = '/parley/directory/1'
const RECORDS = 60
const ADDRESSES = 16
const LISTENERS = 8
/** Dials of agents that were never met: at once with one race, and a second. Without a bound it was 1,229 in 8 s. */
const MOST_DIALS = 144
const MORE_A_SECOND = 4
/** Requests by `/ws` addresses among them. */
const MOST_REQUESTS = 60
/** A few of another network, which this machine cannot see arrive. */
const ELSEWHERE = ['/ip4/169.254.169.254/tcp/80', '/ip4/127.0.0.2/tcp/22', '/ip4/0.0.0.0/tcp/22']

interface Canary {
  readonly ports: number[]
  connections(): number
  requests(): number
  close(): void
}

/** Listens on loopback, takes what comes and says nothing. */
const openCanary = async (): Promise<Canary> => {
  let connections = 0
  let requests = 0
  const servers = Array.from({ length: LISTENERS }, () =>
    createServer((socket) => {
      connections += 1
      socket.on('error', () => {})
      socket.once('data', (bytes) => {
        if (bytes.toString('latin1').startsWith('GET ')) requests += 1
        socket.destroy()
      })
      setTimeout(() => socket.destroy(), 1_000)
    }),
  )
  const ports = await Promise.all(
    servers.map(async (server) => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      return typeof address === 'object' && address !== null ? address.port : 0
    }),
  )
  return {
    ports,
    connections: () => connections,
    requests: () => requests,
    close: () => {
      for (const server of servers) server.close()
    },
  }
}

export const scanner: Attack = {
  name: 'scanner',
  line: 'A7',
  by: 'member',
  about: `${RECORDS} invented agents, ${ADDRESSES} addresses each, all of them at a listener that is no member`,
  async play({ seconds }) {
    const town = await openTown()
    const canary = await openCanary()
    try {
      const victim = await town.add('victim')
      const attacker = await town.attacker()
      const connection = await attacker.member(victim.address(), town.secret)
      const link = await attacker.link(connection, DIRECTORY)
      const refusedBefore = await victim.refusals()
      const addressOf = (n: number): string =>
        `/ip4/127.0.0.1/tcp/${canary.ports[n % LISTENERS]}${n % 4 === 3 ? '/ws' : ''}`
      const agents = await Promise.all(
        Array.from({ length: RECORDS }, async (_, i) => ({ signer: await inventSigner(), i })),
      )
      const rounds = Math.max(1, Math.ceil(seconds / 2))
      for (let version = 1; version <= rounds; version += 1) {
        for (const { signer, i } of agents) {
          const addresses = Array.from({ length: ADDRESSES }, (_, n) =>
            n < ELSEWHERE.length ? (ELSEWHERE[n] ?? '') : `${addressOf(i + n)}/p2p/${signer.id}`,
          )
          const record = await recordBytes(signer, town.mesh, { name: `ghost-${i}`, addresses, version })
          const payload = encode({ records: [{ ...record, ageMs: 0 }] })
          link.tell({ kind: KIND.oneWay, method: 'push', payload, content: CONTENT.cbor, timeoutMs: 2_000 })
        }
        await delay(2_000)
      }
      const dials = canary.connections()
      const most = MOST_DIALS + MORE_A_SECOND * Math.ceil(seconds + 2)
      return {
        tried: { records: RECORDS * rounds, addresses: RECORDS * ADDRESSES, 'dials made for it': dials },
        refused: grown(refusedBefore, await victim.refusals()),
        reached: [
          ...(dials > most ? [`the node dialled ${dials} times where it was told, at most ${most} are`] : []),
          ...(canary.requests() > MOST_REQUESTS ? [`${canary.requests()} HTTP requests were sent for it`] : []),
        ],
      }
    } finally {
      canary.close()
      await town.end()
    }
  },
}
