/**
 * Which skipped tests are a failure where `.ci/setup` has installed what tests need: all but those that miss something of the
 * machine itself. Pure.
 */

export interface Skip {
  /** From the root of the tree. */
  readonly file: string
  readonly name: string
  /** Empty where the test does not say. */
  readonly reason: string
}

/** What no package gives a machine. */
const OF_THE_MACHINE = [/^the file system tells no creation times$/, /^this machine has no IPv6 loopback/]

interface Reported {
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

/** The skip that an event of Node's test runner tells of. */
export const skipOf = ({ type, data }: Reported): Skip | undefined => {
  const { skip, name, file } = data
  if ((type !== 'test:pass' && type !== 'test:fail') || skip === undefined || skip === false) return undefined
  return { file: String(file ?? ''), name: String(name), reason: typeof skip === 'string' ? skip : '' }
}

export const unexcused = (skips: readonly Skip[]): Skip[] =>
  skips.filter(({ reason }) => !OF_THE_MACHINE.some((one) => one.test(reason)))

/** For people; empty where there is nothing to tell. */
export const toldOf = (skips: readonly Skip[]): string =>
  skips.length === 0
    ? ''
    : [
        'Skipped, although .ci/setup installs what they need:',
        ...skips.map(({ file, name, reason }) => `  ${file}: ${name}${reason === '' ? '' : ` (${reason})`}`),
      ].join('\n')
