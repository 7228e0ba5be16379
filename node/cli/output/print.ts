/** Results, which go to stdout, and remarks, which go to stderr so that they do not get between results. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`)

export const remark = (text: string): void => void process.stderr.write(`${text}\n`)
