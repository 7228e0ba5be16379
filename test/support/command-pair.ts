/** Two nodes in virtual time, of which one sends the other the command `work` with a part of a budget of 100 tokens. */
import assert from 'node:assert/strict'
import * as z from 'zod'
import { createPortNetwork } from '../../node/testing/virtual/port-network.ts'
import { Slice } from '../../protocols/budget/slice.ts'
import type { CommandHandler } from '../../protocols/command/api.ts'
import type { CommandDeduplicationLimits } from '../../protocols/command/command-deduplication.ts'
import { commandProtocol } from '../../protocols/command/command-definition.ts'
import { createCommands } from '../../protocols/command/commands.ts'
import { ParleyError } from '../../protocols/errors.ts'

export const commandPair = async (run: CommandHandler<unknown, unknown>, limits?: CommandDeduplicationLimits) => {
  const network = createPortNetwork()
  let tooLargeFrom: string | undefined
  const begin = (name: string) => {
    const node = network.start(name)
    const { port } = node
    return {
      ...node,
      commands: createCommands({
        port,
        serve: port.serve,
        bytesOf: ({ peer }) => (peer === tooLargeFrom ? 2 ** 30 : 0),
        choose: async () => undefined,
        ...(limits && { limits }),
      }),
    }
  }
  const nodes = ['a', 'b'].map(begin)
  const [a, b] = nodes
  assert.ok(a && b)
  let receiver = b
  network.connect(a, b)
  await b.commands.register('work', run)
  const slice = new Slice({ amounts: { tokens: 100, fanOut: 5 }, limits: { depth: 2 } })
  const budget = { of: slice, amounts: { tokens: 40 } }
  const failure = async (promise: Promise<unknown>): Promise<ParleyError> => {
    const error = await network.time.settled(
      promise.then(
        () => assert.fail('it was acknowledged'),
        (caught: unknown) => caught,
      ),
      60_000,
    )
    return error instanceof ParleyError ? error : assert.fail(String(error))
  }
  /** Its process dies, and another one takes its place. */
  const restart = async (): Promise<void> => {
    receiver.kill()
    receiver = begin('b')
    network.connect(a, receiver)
    await receiver.commands.register('work', run)
  }
  const refuseAll = (): void => {
    tooLargeFrom = a.id
  }
  const cut = async (ms: number): Promise<void> => {
    network.disconnect(a, receiver)
    await network.time.run(ms)
    network.connect(a, receiver)
  }
  /** In the handler: as long as its process lives. */
  const pause = (ms: number): Promise<void> => new Promise((resolve) => receiver.port.timers.after(ms, resolve))
  return { ...network, a, b, slice, budget, failure, restart, refuseAll, cut, pause }
}

/** As it goes over the wire. */
export const asker = ({ a, b, time }: Pick<Awaited<ReturnType<typeof commandPair>>, 'a' | 'b' | 'time'>) => {
  const { run } = a.port.to(b.id, commandProtocol({ type: 'work', parameters: z.unknown() }))
  return async (commandId: string, tokens: number, more: { part?: string; again?: boolean } = {}) => {
    const request = {
      command_id: commandId,
      timeout_ms: 30_000,
      parameters: 1,
      budget: { amounts: { tokens } },
      ...more,
    }
    return (await time.settled(run(request), 30_000)).remaining
  }
}
