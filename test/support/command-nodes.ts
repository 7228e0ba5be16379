/** Nodes that send each other commands, linked in virtual time; each knows at once who registered which type. */
import assert from 'node:assert/strict'
import { createPortNetwork } from '../../node/testing/virtual/port-network.ts'
import { createCommands } from '../../protocols/command/commands.ts'
import { ParleyError } from '../../protocols/errors.ts'

export const commandNodes = (...names: string[]) => {
  const network = createPortNetwork()
  const served = new Map<string, Set<string>>()
  const state = { bytes: 0 }
  const nodes = names.map((name) => {
    const node = network.start(name)
    const commands = createCommands({
      port: node.port,
      bytesOf: () => state.bytes,
      async serve(protocol, handlers) {
        const offering = served.get(protocol.name) ?? new Set()
        served.set(protocol.name, offering.add(node.id))
        const unserve = await node.port.serve(protocol, handlers)
        return async () => {
          offering.delete(node.id)
          await unserve()
        }
      },
      async choose(protocols, _, tried) {
        const all = [...(served.get(protocols[0] ?? '') ?? [])]
        return all.find((peer) => !tried.has(peer) && protocols.every((one) => served.get(one)?.has(peer)))
      },
    })
    return { ...node, commands }
  })
  for (const a of nodes) for (const b of nodes) if (a.id < b.id) network.connect(a, b)
  const failure = async (promise: Promise<unknown>, maxMs = 60_000): Promise<ParleyError> => {
    const told = promise.then(
      (value) => assert.fail(`it was acknowledged: ${JSON.stringify(value)}`),
      (error: unknown) => error,
    )
    const error = await network.time.settled(told, maxMs)
    assert.ok(error instanceof ParleyError, String(error))
    return error
  }
  const [a, b, c] = nodes
  assert.ok(a && b)
  return { ...network, a, b, c, nodes, state, failure }
}
