/** Two meshes of one secret, one of them found by the address that the other gives. */
import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { createMesh, type MeshOptionsInput } from '../../../node/index.ts'
import { benchDirectory } from '../surroundings.ts'

export const START_LIMIT_MS = 60_000

/** What the second end needs; it travels as JSON over the bench's own channel. */
export const addressSchema = z.object({ peer: z.string(), join: z.array(z.string()).min(1), secret: z.string() })

export const start = async (name: string, secret: string, peers: readonly string[], neighbours?: number) => {
  return createMesh({
    name,
    mesh: 'bench',
    secret,
    // As parley up has it.
    minorGc: true,
    dataDir: await mkdtemp(join(benchDirectory(), `${name}-`)),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    join: [...peers],
    ...(neighbours === undefined ? {} : { limits: { maxPeersFullMesh: neighbours } }),
  })
}

export const startFirst = async () => {
  const secret = randomBytes(32).toString('base64url')
  const mesh = await start('first', secret, [])
  const address = JSON.stringify({ peer: mesh.self.id, join: mesh.self.addresses, secret })
  return { mesh, address }
}

export const startSecond = async (address: string) => {
  const { peer, join: addresses, secret } = addressSchema.parse(JSON.parse(address))
  const mesh = await start('second', secret, addresses)
  await mesh.joined({ signal: AbortSignal.timeout(START_LIMIT_MS) })
  return { mesh, peer }
}

/** One of so many that found a mesh together and vote. */
export const startVoter = async (
  name: string,
  secret: string,
  peers: readonly string[],
  count: number,
  more: MeshOptionsInput = {},
) =>
  createMesh({
    ...more,
    ...{ name, mesh: 'bench', secret, minorGc: true, listen: ['/ip4/127.0.0.1/tcp/0'], join: [...peers] },
    dataDir: await mkdtemp(join(benchDirectory(), `${name}-`)),
    coordination: { expect: count },
  })
