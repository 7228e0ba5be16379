/**
 * Checks of what the driver asks, without a library: in the join and scale suites the memory and the start of an end
 * are measured, and whatever the bench itself loads would count as the system's.
 */
const fail = (what: string): never => {
  throw new Error(`the driver sent no ${what}`)
}

export const asText = (value: unknown): string => (typeof value === 'string' ? value : fail('text'))

export const asCount = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : fail('count')

export const asTexts = (value: unknown): string[] => (Array.isArray(value) ? value.map(asText) : fail('list of texts'))

/** A field of an object. */
export const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : fail(name)
