#include "textflag.h"

// See signals.go. The kernel calls with C's convention: DI the number, SI the siginfo, DX the context.
TEXT ·filter(SB), NOSPLIT|NOFRAME, $0-0
	CMPL	8(SI), $0	// si_code: above 0 the kernel made it, below 0 a task may have forged it
	JGT	pass
	JLT	drop
	CMPL	16(SI), $0	// si_pid: 0 when the sender is outside of this PID namespace
	JEQ	pass
drop:
	RET
pass:
	MOVQ	·original(SB), AX
	JMP	AX

TEXT ·filterAddress(SB), NOSPLIT, $0-8
	MOVQ	$·filter(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
