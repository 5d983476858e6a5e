export { TransporterError, type TransporterErrorCode } from './errors.ts'
export { NodepollTransporter } from './nodepoll-transporter.ts'
export type { NodeAddress, NodepollTransporterOptions } from './options.ts'
