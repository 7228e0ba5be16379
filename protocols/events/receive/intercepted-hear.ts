/**
 * The events of one subscription through the interceptors of this node, in order, one at a time. What they refuse this
 * subscription does not get; an error of its listener stays the listener's.
 */
import { INTERCEPTOR_TIME } from '../../interceptors/chain-run.ts'
import type { HearChain } from '../../interceptors/chains.ts'
import { checkEventData, type EventDefinition } from '../define-event.ts'
import type { Listener, MeshEvent } from '../event.ts'

export interface InterceptedHearDeps {
  readonly chain: HearChain
  readonly pattern: string
  /** What data that were changed have to fit. */
  definitionOf(topic: string): EventDefinition | undefined
  /** An interceptor did not pass an event on, or changed it to something that its definition does not allow. */
  dropped(reason: 'intercepted' | 'invalid'): void
}

/** Whether it reached `hear`, and what that threw. */
type Heard = { readonly isPassed: boolean; readonly failure?: { readonly error: unknown } }

const throughChain = async (
  { chain, pattern, definitionOf, dropped }: InterceptedHearDeps,
  event: MeshEvent,
  hear: (event: MeshEvent) => void | Promise<void>,
): Promise<Heard> => {
  let failure: { readonly error: unknown } | undefined
  let isInvalid = false
  const core = async ({ pattern: _, ...changed }: MeshEvent & { pattern: string }) => {
    const definition = changed.data === event.data ? undefined : definitionOf(event.topic)
    const checked = definition === undefined ? undefined : checkEventData(definition, changed.data)
    isInvalid = checked?.ok === false
    if (isInvalid) return { id: event.id }
    try {
      await hear(checked?.ok === true ? { ...changed, data: checked.data } : changed)
    } catch (error) {
      failure = { error }
      throw error
    }
    return { id: event.id }
  }
  try {
    await chain.run({ ...event, pattern }, core, INTERCEPTOR_TIME)
  } catch {
    // Counted by the chain, or the listener's.
    if (failure === undefined) dropped('intercepted')
    return { isPassed: false, ...(failure !== undefined && { failure }) }
  }
  if (isInvalid) dropped('invalid')
  return { isPassed: !isInvalid }
}

/** @returns a listener that the events reach which the interceptors let through */
export const interceptListener =
  (deps: InterceptedHearDeps, listener: Listener<unknown>): Listener<unknown> =>
  async (event) => {
    const { failure } = await throughChain(deps, event, listener)
    if (failure !== undefined) throw failure.error
  }

/** The same for a loop. */
export const interceptIterator = (
  deps: InterceptedHearDeps,
  events: AsyncIterator<MeshEvent>,
): AsyncIterator<MeshEvent> => {
  const pull = async (): Promise<IteratorResult<MeshEvent>> => {
    for (;;) {
      const result = await events.next()
      if (result.done === true) return result
      let passed: MeshEvent | undefined
      await throughChain(deps, result.value, (event) => {
        passed = event
      })
      if (passed !== undefined) return { done: false, value: passed }
    }
  }
  let last: Promise<unknown> = Promise.resolve()
  return {
    next() {
      const result = last.then(pull, pull)
      last = result
      return result
    },
    return: () => events.return?.() ?? Promise.resolve({ done: true, value: undefined }),
  }
}
