/** What a coordinator takes of what the services of the mesh answer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnsweredResource, ResourceStatusAnswer } from '../../../protocols/coordination/messages.ts'
import { MeshServices, type ServicesDeps } from '../../../protocols/coordination/services/plan-services.ts'

/** As the schema of the answer has it. */
const MAX_RESOURCES = 8_192
/** Far more than it needs, and far less than what is done again for each resource with all that came before. */
const MAX_CPU_MS = 500
const EVE = `12D3KooW${'A'.repeat(44)}`
const SIGNAL = new AbortController().signal

/** Services of a node for which a resource manager answers so. */
const servicesWith = (resources: readonly AnsweredResource[]): MeshServices => {
  const resource_query = async ({ request_id, timestamp }: { request_id: string; timestamp: string }) =>
    ResourceStatusAnswer.parse({ request_id, timestamp, available: true, resources })
  const port = {
    ...{ self: { id: EVE }, clock: { now: () => 0, monotonic: () => 0 }, timers: { every: () => () => {} } },
    ...{ random: (bytes: number) => new Uint8Array(bytes), to: () => ({ resource_query }) },
  }
  return new MeshServices({
    port: port as unknown as ServicesDeps['port'],
    coordinator: { status: () => ({ leader: EVE }) } as ServicesDeps['coordinator'],
    serviceOf: () => EVE,
    report: () => undefined,
    took() {},
  })
}
const resource = (name: string, owner: string, capacity: number): AnsweredResource => ({
  ...{ resource_id: `${name}@${owner}`, owner, capacity, used: 0 },
})

test('of what a resource manager answers what is needed counts, of the peers that it was asked about', async () => {
  const [ann, bob] = ['B', 'C'].map((letter) => `12D3KooW${letter.repeat(44)}`) as [string, string]
  const services = servicesWith([
    ...[resource('cpu', ann, 4), resource('cpu', ann, 2), resource('gpu', ann, 1), resource('disk', ann, 9)],
    ...[resource('cpu', bob, 8), resource('cpu', EVE, 8), resource('constructor', bob, 1)],
  ])
  const found = await services.verify({ cpu: 1, gpu: 1 }, [ann, bob], SIGNAL)
  assert.deepEqual(
    found,
    new Map([
      [ann, { cpu: 6, gpu: 1 }],
      [bob, { cpu: 8 }],
    ]),
  )
})

test('no answer of a resource manager holds up who coordinates', async () => {
  const answers = {
    'other names': (i: number) => resource(`r${i}`, EVE, 1),
    'the same name': () => resource('cpu', EVE, 1),
  }
  for (const [what, answer] of Object.entries(answers)) {
    const services = servicesWith(Array.from({ length: MAX_RESOURCES }, (_, i) => answer(i)))
    const before = process.cpuUsage()
    await services.verify({ cpu: 1 }, [EVE], SIGNAL)
    const { user, system } = process.cpuUsage(before)
    assert.ok((user + system) / 1_000 < MAX_CPU_MS, `${what}: ${(user + system) / 1_000} ms`)
  }
})
