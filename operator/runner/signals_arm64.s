#include "textflag.h"

// See signals.go. The kernel calls with C's convention: R0 the number, R1 the siginfo, R2 the context.
TEXT ·filter(SB), NOSPLIT|NOFRAME, $0-0
	MOVW	8(R1), R3	// si_code: above 0 the kernel made it, below 0 a task may have forged it
	CMPW	$0, R3
	BGT	pass
	BLT	drop
	MOVWU	16(R1), R3	// si_pid: 0 when the sender is outside of this PID namespace
	CBZ	R3, pass
drop:
	RET
pass:
	MOVD	·original(SB), R3
	JMP	(R3)

TEXT ·filterAddress(SB), NOSPLIT, $0-8
	MOVD	$·filter(SB), R0
	MOVD	R0, ret+0(FP)
	RET
